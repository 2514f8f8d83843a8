package httpclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	promconfig "github.com/prometheus/common/config"

	"collector/pkg/component"
	"collector/pkg/tlsconfig"
)

// Validate reports settings that cannot work together. A block that squashes a
// Config calls it; the blocks inside have a Validate of their own.
func (c *Config) Validate() error {
	var errs []error
	set := 0
	for _, is := range []bool{c.BasicAuth != nil, c.Authorization != nil, c.OAuth2 != nil, c.BearerToken != "", c.BearerTokenFile != ""} {
		if is {
			set++
		}
	}
	if set > 1 {
		errs = append(errs, errors.New("at most one of basic_auth, authorization, oauth2, bearer_token and bearer_token_file may be set"))
	}
	for name := range c.HTTPHeaders {
		if _, reserved := promconfig.ReservedHeaders[http.CanonicalHeaderKey(name)]; reserved {
			errs = append(errs, component.At("http_headers", fmt.Errorf("%q cannot be set here: it belongs to the request itself or to its authentication", name)))
		}
	}
	errs = append(errs, validateProxy(c.ProxyURL, c.NoProxy, c.ProxyFromEnvironment, c.ProxyConnectHeader))
	return errors.Join(errs...)
}

// validateAll is Validate and that of every block inside.
func (c *Config) validateAll() error {
	errs := []error{c.Validate()}
	if c.BasicAuth != nil {
		errs = append(errs, component.At("basic_auth", c.BasicAuth.Validate()))
	}
	if c.Authorization != nil {
		errs = append(errs, component.At("authorization", c.Authorization.Validate()))
	}
	if c.OAuth2 != nil {
		errs = append(errs, component.At("oauth2", c.OAuth2.Validate()))
		if c.OAuth2.TLS != nil {
			errs = append(errs, component.At("oauth2/tls_config", c.OAuth2.TLS.Validate()))
		}
	}
	if c.TLS != nil {
		errs = append(errs, component.At("tls_config", c.TLS.Validate()))
	}
	return errors.Join(errs...)
}

// Validate reports what cannot work.
func (a *BasicAuth) Validate() error {
	if a.Password != "" && a.PasswordFile != "" {
		return component.At("password_file", errors.New("password is also set: keep only one of them"))
	}
	return nil
}

// Validate reports what cannot work.
func (a *Authorization) Validate() error {
	if a.Credentials != "" && a.CredentialsFile != "" {
		return component.At("credentials_file", errors.New("credentials is also set: keep only one of them"))
	}
	if strings.EqualFold(strings.TrimSpace(a.Type), "basic") {
		return component.At("type", errors.New(`it cannot be "basic": use the block basic_auth`))
	}
	return nil
}

// Validate reports what cannot work.
func (o *OAuth2) Validate() error {
	var errs []error
	if o.ClientID == "" {
		errs = append(errs, component.At("client_id", errors.New("it must be set")))
	}
	if o.TokenURL == "" {
		errs = append(errs, component.At("token_url", errors.New("it must be set")))
	}
	if (o.ClientSecret == "") == (o.ClientSecretFile == "") {
		errs = append(errs, component.At("client_secret", errors.New("exactly one of client_secret and client_secret_file must be set")))
	}
	errs = append(errs, validateProxy(o.ProxyURL, o.NoProxy, o.ProxyFromEnvironment, o.ProxyConnectHeader))
	return errors.Join(errs...)
}

// Validate reports what cannot work.
func (t *TLS) Validate() error {
	s, err := t.settings()
	return errors.Join(err, s.Check())
}

// settings is what can be checked of t here. The library makes the client's side
// itself, as it also reads files again.
func (t *TLS) settings() (s tlsconfig.Settings, err error) {
	s = tlsconfig.Settings{
		CA:   tlsconfig.PEM{Name: "ca", Text: t.CA, File: t.CAFile},
		Cert: tlsconfig.PEM{Name: "cert", Text: t.Cert, File: t.CertFile},
		Key:  tlsconfig.PEM{Name: "key", Text: string(t.Key), File: t.KeyFile},
	}
	s.Min, err = tlsconfig.Plain.Version("min_version", t.MinVersion, 0)
	return s, err
}

func validateProxy(proxyURL, noProxy string, fromEnvironment bool, header map[string][]component.Secret) error {
	switch {
	case fromEnvironment && proxyURL != "":
		return component.At("proxy_from_environment", errors.New("proxy_url is also set: keep only one of them"))
	case fromEnvironment && noProxy != "":
		return component.At("no_proxy", errors.New("it has no effect with proxy_from_environment: set NO_PROXY in the environment"))
	case noProxy != "" && proxyURL == "":
		return component.At("no_proxy", errors.New("it needs proxy_url"))
	case len(header) > 0 && proxyURL == "" && !fromEnvironment:
		return component.At("proxy_connect_header", errors.New("it needs proxy_url or proxy_from_environment"))
	}
	if u, err := url.Parse(proxyURL); proxyURL != "" && (err != nil || u.Host == "") {
		return component.At("proxy_url", errors.New("it is not a valid URL: use http://host:port"))
	}
	return nil
}

// Client makes the client's side of TLS for what does not speak HTTP.
func (t *TLS) Client() (*tls.Config, error) {
	s, err := t.settings()
	if err != nil {
		return nil, err
	}
	c, err := s.Client()
	if err != nil {
		return nil, err
	}
	c.ServerName, c.InsecureSkipVerify = t.ServerName, t.InsecureSkipVerify
	return c, nil
}
