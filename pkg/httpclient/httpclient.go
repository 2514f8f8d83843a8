// Package httpclient is the HTTP client settings that Alloy's components
// share, and the client made of them.
package httpclient

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	promconfig "github.com/prometheus/common/config"

	"collector/pkg/component"
)

// dialTimeout bounds how long a connection may take to be made. It is below the timeouts
// of requests, so that an unreachable host can be distinguished from a slow server.
const dialTimeout = 5 * time.Second

// Config is squashed into every block that configures an HTTP client.
type Config struct {
	BasicAuth            *BasicAuth                    `alloy:"basic_auth,block,optional"`
	Authorization        *Authorization                `alloy:"authorization,block,optional"`
	OAuth2               *OAuth2                       `alloy:"oauth2,block,optional"`
	TLS                  *TLS                          `alloy:"tls_config,block,optional"`
	BearerToken          component.Secret              `alloy:"bearer_token,attr,optional"`
	BearerTokenFile      string                        `alloy:"bearer_token_file,attr,optional,file"`
	FollowRedirects      bool                          `alloy:"follow_redirects,attr,optional"`
	EnableHTTP2          bool                          `alloy:"enable_http2,attr,optional"`
	HTTPHeaders          map[string][]component.Secret `alloy:"http_headers,attr,optional"`
	ProxyURL             string                        `alloy:"proxy_url,attr,optional"`
	NoProxy              string                        `alloy:"no_proxy,attr,optional"`
	ProxyFromEnvironment bool                          `alloy:"proxy_from_environment,attr,optional"`
	ProxyConnectHeader   map[string][]component.Secret `alloy:"proxy_connect_header,attr,optional"`
}

// BasicAuth is HTTP basic authentication.
type BasicAuth struct {
	Username     string           `alloy:"username,attr,optional"`
	Password     component.Secret `alloy:"password,attr,optional"`
	PasswordFile string           `alloy:"password_file,attr,optional,file"`
}

// Authorization is an Authorization header of any scheme; Bearer by default.
type Authorization struct {
	Type            string           `alloy:"type,attr,optional"`
	Credentials     component.Secret `alloy:"credentials,attr,optional"`
	CredentialsFile string           `alloy:"credentials_file,attr,optional,file"`
}

// OAuth2 is the client credentials grant of RFC 6749, section 4.4.
type OAuth2 struct {
	ClientID             string                        `alloy:"client_id,attr,optional"`
	ClientSecret         component.Secret              `alloy:"client_secret,attr,optional"`
	ClientSecretFile     string                        `alloy:"client_secret_file,attr,optional,file"`
	TokenURL             string                        `alloy:"token_url,attr,optional"`
	Scopes               []string                      `alloy:"scopes,attr,optional"`
	EndpointParams       map[string]string             `alloy:"endpoint_params,attr,optional"`
	ProxyURL             string                        `alloy:"proxy_url,attr,optional"`
	NoProxy              string                        `alloy:"no_proxy,attr,optional"`
	ProxyFromEnvironment bool                          `alloy:"proxy_from_environment,attr,optional"`
	ProxyConnectHeader   map[string][]component.Secret `alloy:"proxy_connect_header,attr,optional"`
	TLS                  *TLS                          `alloy:"tls_config,block,optional"`
}

// TLS is the client side of TLS.
type TLS struct {
	CA                 string           `alloy:"ca_pem,attr,optional"`
	CAFile             string           `alloy:"ca_file,attr,optional,file"`
	Cert               string           `alloy:"cert_pem,attr,optional"`
	CertFile           string           `alloy:"cert_file,attr,optional,file"`
	Key                component.Secret `alloy:"key_pem,attr,optional"`
	KeyFile            string           `alloy:"key_file,attr,optional,file"`
	ServerName         string           `alloy:"server_name,attr,optional"`
	InsecureSkipVerify bool             `alloy:"insecure_skip_verify,attr,optional"`
	MinVersion         string           `alloy:"min_version,attr,optional"`
}

// Default is what Alloy starts from: redirects followed, HTTP/2 on.
func Default() Config { return Config{FollowRedirects: true, EnableHTTP2: true} }

// New makes a client. name is in the client's own errors, userAgent in its
// requests. It has no timeout of its own; a context ends a request.
func (c *Config) New(name, userAgent string) (*http.Client, error) {
	if err := c.validateAll(); err != nil {
		return nil, err
	}
	p, err := c.prometheus()
	if err != nil {
		return nil, err
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	transport, err := roundTripper(p, name, userAgent)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: transport}
	if !c.FollowRedirects {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return client, nil
}

// roundTripper makes what sends the requests of p: with its credentials and
// headers as long as they go to the host that they are for.
func roundTripper(p promconfig.HTTPClientConfig, name, userAgent string) (http.RoundTripper, error) {
	foreign := promconfig.HTTPClientConfig{
		TLSConfig: withoutIdentity(p.TLSConfig), ProxyConfig: p.ProxyConfig, EnableHTTP2: p.EnableHTTP2,
	}
	other, err := plainRoundTripper(foreign, name, userAgent)
	if err != nil {
		return nil, err
	}
	inner := p
	inner.OAuth2 = nil
	own, err := plainRoundTripper(inner, name, userAgent)
	if err != nil {
		return nil, err
	}
	if p.OAuth2 != nil {
		if own, err = newOAuth2(p.OAuth2, own, name, userAgent); err != nil {
			return nil, err
		}
	}
	return &guard{own: own, foreign: other}, nil
}

// withoutIdentity is the TLS configuration for servers other than the one that t is for.
func withoutIdentity(t promconfig.TLSConfig) promconfig.TLSConfig {
	t.Cert, t.CertFile, t.CertRef = "", "", ""
	t.Key, t.KeyFile, t.KeyRef = "", "", ""
	t.ServerName = ""
	return t
}

func plainRoundTripper(p promconfig.HTTPClientConfig, name, userAgent string) (http.RoundTripper, error) {
	dialer := &net.Dialer{Timeout: dialTimeout}
	transport, err := promconfig.NewRoundTripperFromConfig(p, name,
		promconfig.WithUserAgent(userAgent),
		// The library's own dialer keeps a trace of every connection.
		promconfig.WithDialContextFunc(dialer.DialContext))
	if err != nil {
		return nil, fmt.Errorf("make the HTTP client: %w", err)
	}
	return transport, nil
}

func (c *Config) prometheus() (promconfig.HTTPClientConfig, error) {
	p := promconfig.HTTPClientConfig{
		BearerToken:     promconfig.Secret(c.BearerToken),
		BearerTokenFile: c.BearerTokenFile,
		FollowRedirects: c.FollowRedirects,
		EnableHTTP2:     c.EnableHTTP2,
	}
	var errs []error
	p.ProxyConfig = proxyConfig(c.ProxyURL, c.NoProxy, c.ProxyFromEnvironment, c.ProxyConnectHeader, &errs)
	p.TLSConfig = c.TLS.prometheus(&errs)
	if a := c.BasicAuth; a != nil {
		p.BasicAuth = &promconfig.BasicAuth{Username: a.Username, Password: promconfig.Secret(a.Password), PasswordFile: a.PasswordFile}
	}
	if a := c.Authorization; a != nil {
		p.Authorization = &promconfig.Authorization{Type: a.Type, Credentials: promconfig.Secret(a.Credentials), CredentialsFile: a.CredentialsFile}
	}
	if o := c.OAuth2; o != nil {
		p.OAuth2 = &promconfig.OAuth2{
			ClientID: o.ClientID, ClientSecret: promconfig.Secret(o.ClientSecret), ClientSecretFile: o.ClientSecretFile,
			TokenURL: o.TokenURL, Scopes: o.Scopes, EndpointParams: o.EndpointParams,
			TLSConfig:   o.TLS.prometheus(&errs),
			ProxyConfig: proxyConfig(o.ProxyURL, o.NoProxy, o.ProxyFromEnvironment, o.ProxyConnectHeader, &errs),
		}
	}
	if len(c.HTTPHeaders) > 0 {
		p.HTTPHeaders = &promconfig.Headers{Headers: make(map[string]promconfig.Header)}
		for name, values := range c.HTTPHeaders {
			p.HTTPHeaders.Headers[name] = promconfig.Header{Secrets: secrets(values)}
		}
	}
	return p, errors.Join(errs...)
}

func proxyConfig(rawURL, noProxy string, fromEnvironment bool, header map[string][]component.Secret, errs *[]error) promconfig.ProxyConfig {
	p := promconfig.ProxyConfig{NoProxy: noProxy, ProxyFromEnvironment: fromEnvironment}
	if rawURL != "" {
		u, err := url.Parse(rawURL)
		if err != nil {
			// The text of err holds the URL, and with it perhaps a password.
			*errs = append(*errs, component.At("proxy_url", errors.New("it is not a valid URL: use http://host:port")))
		} else {
			p.ProxyURL = promconfig.URL{URL: u}
		}
	}
	if len(header) > 0 {
		p.ProxyConnectHeader = make(promconfig.ProxyHeader)
		for name, values := range header {
			p.ProxyConnectHeader[name] = secrets(values)
		}
	}
	return p
}

func secrets(values []component.Secret) []promconfig.Secret {
	out := make([]promconfig.Secret, len(values))
	for i, v := range values {
		out[i] = promconfig.Secret(v)
	}
	return out
}

func (t *TLS) prometheus(errs *[]error) promconfig.TLSConfig {
	if t == nil {
		return promconfig.TLSConfig{}
	}
	p := promconfig.TLSConfig{
		CA: t.CA, CAFile: t.CAFile, Cert: t.Cert, CertFile: t.CertFile,
		Key: promconfig.Secret(t.Key), KeyFile: t.KeyFile,
		ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify,
	}
	s, err := t.settings()
	if err != nil {
		*errs = append(*errs, err)
	}
	p.MinVersion = promconfig.TLSVersion(s.Min)
	return p
}
