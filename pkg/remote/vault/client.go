package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"collector/pkg/backoff"
	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/mask"
)

// maxAnswer bounds what Vault, or a service of the machine, answers.
const maxAnswer = 4 << 20

// client sends requests to Vault.
type client struct {
	http      *http.Client
	base      string
	namespace string
	options   ClientOptions
}

// newClient makes a client. What there are no arguments for comes from the variables
// that Vault's own programs read.
func newClient(c *Config, o component.Options) (*client, error) {
	skip, _ := strconv.ParseBool(os.Getenv("VAULT_SKIP_VERIFY"))
	settings := httpclient.Config{
		FollowRedirects: true, EnableHTTP2: true, ProxyFromEnvironment: true,
		TLS: &httpclient.TLS{
			CA: os.Getenv("VAULT_CACERT_BYTES"), CAFile: os.Getenv("VAULT_CACERT"), CertFile: os.Getenv("VAULT_CLIENT_CERT"),
			KeyFile: os.Getenv("VAULT_CLIENT_KEY"), ServerName: os.Getenv("VAULT_TLS_SERVER_NAME"), InsecureSkipVerify: skip,
		},
	}
	made, err := settings.New(o.ID, o.UserAgent)
	if err != nil {
		return nil, fmt.Errorf("make the client of Vault from the variables VAULT_*: %w", err)
	}
	made.Timeout = c.Client.Timeout
	namespace := c.Namespace
	if namespace == "" {
		namespace = os.Getenv("VAULT_NAMESPACE")
	}
	return &client{http: made, base: strings.TrimSuffix(c.Server, "/") + "/v1/", namespace: namespace, options: c.Client}, nil
}

// answer is what Vault answers.
type answer struct {
	LeaseDuration int             `json:"lease_duration"` // in seconds; 0: there is no lease
	Renewable     bool            `json:"renewable"`
	Data          json.RawMessage `json:"data"`
	Auth          *lease          `json:"auth"`
}

// lease is a token that Vault has given.
type lease struct {
	Token     string `json:"client_token"`
	Duration  int    `json:"lease_duration"` // in seconds; 0: it does not expire
	Renewable bool   `json:"renewable"`
}

// call is a request.
type call struct {
	method, path     string
	token, namespace string
	body             any // nil: none
}

// errStatus is an answer that is an error.
type errStatus struct {
	status int
	error
}

// refused reports whether err is an answer with one of the statuses.
func refused(err error, statuses ...int) bool {
	var is *errStatus
	if !errors.As(err, &is) {
		return false
	}
	for _, status := range statuses {
		if is.status == status {
			return true
		}
	}
	return false
}

// do sends a request, and again if it may succeed then.
func (c *client) do(ctx context.Context, r call) (*answer, error) {
	// Connections of requests so rare would outlive a component that never runs.
	defer c.http.CloseIdleConnections()
	retry := backoff.New(c.options.MinRetryWait, max(c.options.MinRetryWait, c.options.MaxRetryWait))
	for attempt := 0; ; attempt++ {
		a, err := c.once(ctx, r)
		var is *errStatus
		passing := err != nil && (!errors.As(err, &is) || is.status >= 500 && is.status != http.StatusNotImplemented || is.status == http.StatusTooManyRequests || is.status == http.StatusPreconditionFailed)
		if !passing || attempt >= c.options.MaxRetries || retry.Wait(ctx) != nil {
			return a, err
		}
	}
}

func (c *client) once(ctx context.Context, r call) (*answer, error) {
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, r.method, c.base+escaped(r.path), body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-Vault-Request", "true")
	namespace := r.namespace
	if namespace == "" {
		namespace = c.namespace
	}
	for name, value := range map[string]string{"X-Vault-Token": r.token, "X-Vault-Namespace": namespace} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	got, err := c.http.Do(request)
	if err != nil {
		return nil, errors.New(mask.WithoutPasswords(err.Error()))
	}
	defer got.Body.Close()
	text, err := io.ReadAll(io.LimitReader(got.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxAnswer:
		return nil, fmt.Errorf("the answer to %s is larger than %d MiB", r.path, maxAnswer>>20)
	case got.StatusCode/100 != 2:
		return nil, &errStatus{got.StatusCode, fmt.Errorf("%s: Vault answers %s%s", r.path, got.Status, said(got, text))}
	}
	var a answer
	if len(text) > 0 {
		if err := json.Unmarshal(text, &a); err != nil {
			return nil, fmt.Errorf("%s: the response is not from Vault", r.path) // the text of err could quote it
		}
	}
	return &a, nil
}

// said is what an answer says of an error.
func said(got *http.Response, text []byte) string {
	var of struct{ Errors []string }
	if json.Unmarshal(text, &of) != nil || len(of.Errors) == 0 {
		return ""
	}
	const longest = 500
	words := httpclient.WithoutCredentials(httpclient.OneLine(strings.Join(of.Errors, "; ")), got)
	if len(words) > longest {
		words = strings.ToValidUTF8(words[:longest], "") + "…"
	}
	return ": " + words
}

// escaped is a path with each part escaped.
func escaped(path string) string {
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}
