package remote

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/mask"
)

//go:embed remote.http.md
var httpPage string

func httpDefinition() component.Definition {
	return component.Define("remote.http", NewHTTP, component.Doc{
		Page:    httpPage,
		Exports: []component.Export{{Name: "content", Type: "string or secret", Note: "The response's body without white space around it; a secret with `is_secret`."}},
	})
}

// HTTPConfig configures remote.http.
type HTTPConfig struct {
	URL           string            `alloy:"url,attr"`
	PollFrequency time.Duration     `alloy:"poll_frequency,attr,optional"`
	PollTimeout   time.Duration     `alloy:"poll_timeout,attr,optional"`
	IsSecret      bool              `alloy:"is_secret,attr,optional"`
	Method        string            `alloy:"method,attr,optional"`
	Headers       map[string]string `alloy:"headers,attr,optional"`
	Body          string            `alloy:"body,attr,optional"`
	Client        httpclient.Config `alloy:"client,block,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *HTTPConfig) SetToDefault() {
	*c = HTTPConfig{PollFrequency: time.Minute, PollTimeout: 10 * time.Second, Method: http.MethodGet, Client: httpclient.Default()}
}

// Validate checks what the types allow and a request does not.
func (c *HTTPConfig) Validate() error {
	switch {
	case c.PollFrequency <= 0:
		return component.At("poll_frequency", errors.New("must be more than 0s"))
	case c.PollTimeout <= 0:
		return component.At("poll_timeout", errors.New("must be more than 0s"))
	case c.PollTimeout >= c.PollFrequency:
		return component.At("poll_timeout", fmt.Errorf("must be less than poll_frequency, which is %s", c.PollFrequency))
	}
	if why := httpclient.Off(c.URL); why != "" {
		return component.At("url", errors.New(why))
	}
	if _, err := http.NewRequest(c.Method, c.URL, nil); err != nil {
		return component.At("method", fmt.Errorf("%q is not an HTTP method", c.Method))
	}
	return nil
}

// HTTP is the component remote.http: what a server answers to a request.
type HTTP struct {
	*content
	config HTTPConfig
	client *http.Client
}

// NewHTTP makes a remote.http. It sends the request; the server has to answer, unless
// its last answer is on disk.
func NewHTTP(c HTTPConfig, o component.Options) (*HTTP, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	o = o.WithDefaults()
	client, err := c.Client.New(o.ID, c.userAgent(o.UserAgent))
	if err != nil {
		return nil, component.At("client", err)
	}
	h := &HTTP{config: c, client: client}
	h.content, err = newContent(source{
		where: mask.WithoutPasswords(c.URL), key: c.key(),
		every: c.PollFrequency, secret: c.IsSecret, fetch: h.request,
	}, o)
	if err != nil {
		return nil, component.At("url", err)
	}
	return h, nil
}

// key identifies the request. It is only written as a digest, as headers may be secret.
func (c *HTTPConfig) key() string {
	parts := []string{c.Method, c.URL, c.Body}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		parts = append(parts, name+": "+c.Headers[name])
	}
	return strings.Join(parts, "\n")
}

// userAgent comes from the headers, if they have one.
func (c *HTTPConfig) userAgent(own string) string {
	for name, value := range c.Headers {
		if textproto.CanonicalMIMEHeaderKey(name) == "User-Agent" {
			return value
		}
	}
	return own
}

// request sends the request, and returns the body of the answer.
func (h *HTTP) request(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, h.config.PollTimeout)
	defer cancel()
	// An idle connection would outlive a component that is made and never run.
	defer h.client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, h.config.Method, h.config.URL, strings.NewReader(h.config.Body))
	if err != nil {
		return "", err
	}
	for name, value := range h.config.Headers {
		httpclient.SetHeader(request, name, value)
	}
	answer, err := h.client.Do(request)
	if err != nil {
		return "", fmt.Errorf("fetch the content: %s", mask.WithoutPasswords(err.Error()))
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxContent+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("fetch the content: %s", mask.WithoutPasswords(err.Error()))
	case answer.StatusCode != http.StatusOK:
		return "", fmt.Errorf("fetch the content: the server answers %s", answer.Status)
	case len(text) > maxContent:
		return "", fmt.Errorf("fetch the content: it is larger than %d MiB", maxContent>>20)
	}
	return strings.TrimSpace(string(text)), nil
}
