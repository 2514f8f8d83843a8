package auth

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/security"
)

// OAuth2Config is the configuration of otelcol.auth.oauth2: the client credentials
// grant of RFC 6749, section 4.4.
type OAuth2Config struct {
	ClientID         string              `alloy:"client_id,attr,optional"`
	ClientIDFile     string              `alloy:"client_id_file,attr,optional,file"`
	ClientSecret     component.Secret    `alloy:"client_secret,attr,optional"`
	ClientSecretFile string              `alloy:"client_secret_file,attr,optional,file"`
	TokenURL         string              `alloy:"token_url,attr"`
	EndpointParams   map[string][]string `alloy:"endpoint_params,attr,optional"`
	Scopes           []string            `alloy:"scopes,attr,optional"`
	TLS              security.TLSClient  `alloy:"tls,block,optional"`
	Timeout          time.Duration       `alloy:"timeout,attr,optional"`
	DebugMetrics     flow.DebugMetrics   `alloy:"debug_metrics,block,optional"`
}

// SetToDefault sets the defaults.
func (c *OAuth2Config) SetToDefault() {
	*c = OAuth2Config{}
	c.DebugMetrics.SetToDefault()
}

// Validate rejects what cannot work.
func (c *OAuth2Config) Validate() error {
	var errs []error
	if u, err := url.Parse(c.TokenURL); err != nil || c.TokenURL != "" && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, component.At("token_url", errors.New("it is not a valid URL; for example: \"https://sso/token\"")))
	}
	if c.Timeout < 0 {
		errs = append(errs, component.At("timeout", errors.New("it cannot be negative")))
	}
	return errors.Join(errs...)
}

//go:embed otelcol.auth.oauth2.md
var oauth2Page string

func oauth2Definition() component.Definition {
	return component.Define("otelcol.auth.oauth2", NewOAuth2, doc(oauth2Page))
}

// OAuth2 is otelcol.auth.oauth2.
type OAuth2 struct {
	*Component
	client *oauth2Client
}

// NewOAuth2 makes otelcol.auth.oauth2.
func NewOAuth2(c OAuth2Config, o component.Options) (*OAuth2, error) {
	o = o.WithDefaults()
	for _, missing := range []struct{ argument, value string }{
		{"client_id", c.ClientID + c.ClientIDFile}, {"client_secret", string(c.ClientSecret) + c.ClientSecretFile}, {"token_url", c.TokenURL},
	} {
		if missing.value == "" {
			o.Warn(missing.argument, "it is empty (is an environment variable not set?): there are no tokens, and data waits in the queue")
		}
	}
	transport, err := tokenTransport(&c.TLS)
	if err != nil {
		return nil, component.At("tls", err)
	}
	client := &oauth2Client{tokens: httpclient.NewTokens(transport, c.Timeout, c.credential)}
	return &OAuth2{newComponent(o, &c.DebugMetrics, client, nil), client}, nil
}

// dialTimeout bounds how long a connection to the token server may take to be made.
const dialTimeout = 10 * time.Second

// tokenTransport is how tokens are asked for. Files of TLS that are absent are looked
// for again with each request.
func tokenTransport(settings *security.TLSClient) (http.RoundTripper, error) {
	made, err := newTransport(settings)
	if component.Lacks(err) {
		return httpclient.Later(func() (http.RoundTripper, error) { return newTransport(settings) }), nil
	}
	return made, err
}

func newTransport(settings *security.TLSClient) (http.RoundTripper, error) {
	t, err := settings.Config()
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext, TLSClientConfig: t,
		TLSHandshakeTimeout: dialTimeout, IdleConnTimeout: time.Minute, MaxIdleConns: 2, ForceAttemptHTTP2: true,
	}, nil
}

// credential is what tokens are asked for with: files may have changed.
func (c *OAuth2Config) credential() (clientcredentials.Config, error) {
	out := clientcredentials.Config{
		ClientID: c.ClientID, ClientSecret: string(c.ClientSecret), TokenURL: c.TokenURL, Scopes: c.Scopes, EndpointParams: c.EndpointParams,
	}
	for _, f := range []struct {
		path string
		to   *string
	}{{c.ClientIDFile, &out.ClientID}, {c.ClientSecretFile, &out.ClientSecret}} {
		if f.path == "" {
			continue
		}
		text, err := os.ReadFile(f.path)
		if err != nil {
			return out, fmt.Errorf("read the OAuth2 credentials: %w", err)
		}
		if *f.to = strings.TrimSpace(string(text)); *f.to == "" {
			return out, fmt.Errorf("read the OAuth2 credentials: %s is empty", f.path)
		}
	}
	return out, nil
}

// Run waits for ctx to end, and closes the connections to the token server.
func (o *OAuth2) Run(ctx context.Context) error {
	<-ctx.Done()
	o.client.tokens.CloseIdleConnections()
	return nil
}

// Status is a snapshot of otelcol.auth.oauth2.
type Status struct {
	Expires time.Time `json:"expires,omitzero"` // of the last token
	Error   string    `json:"error,omitempty"`  // why there is none
}

// Status returns a snapshot for the debug UI.
func (o *OAuth2) Status() any {
	if s := o.client.status.Load(); s != nil {
		return *s
	}
	return Status{}
}

// Health says why there is no token.
func (o *OAuth2) Health() error {
	if s := o.client.status.Load(); s != nil && s.Error != "" {
		return errors.New(s.Error)
	}
	return nil
}

// oauth2Client adds tokens.
type oauth2Client struct {
	tokens *httpclient.Tokens
	last   atomic.Pointer[oauth2.Token]
	status atomic.Pointer[Status]
}

// Carry implements Client.
func (*oauth2Client) Carry(context.Context) string { return "" }

// Secret implements Client.
func (*oauth2Client) Secret() bool { return true }

// Add implements Client.
func (c *oauth2Client) Add(ctx context.Context, _ string, h Headers) error {
	token, err := c.tokens.Token(ctx)
	if err != nil {
		c.status.Store(&Status{Error: err.Error()})
		return err
	}
	c.last.Store(token)
	c.status.Store(&Status{Expires: token.Expiry})
	h.Set("Authorization", token.Type()+" "+token.AccessToken)
	return nil
}

// Refused says that a server has not accepted the last token.
func (c *oauth2Client) Refused() {
	if token := c.last.Load(); token != nil {
		c.tokens.Refused(token)
	}
}
