package httpclient

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"collector/pkg/component"
)

// get sends a request with a client made of c, and returns it as it arrived.
func get(t *testing.T, c Config) *http.Request {
	t.Helper()
	var got *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
	defer s.Close()
	client, err := c.New("test", "agent/1")
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	resp, err := client.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return got
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEverySettingReachesTheRequest(t *testing.T) {
	with := func(change func(*Config)) Config {
		c := Default()
		change(&c)
		return c
	}
	secret := writeFile(t, "s3cret\n")
	for want, c := range map[string]Config{
		"Basic dTpw":         with(func(c *Config) { c.BasicAuth = &BasicAuth{Username: "u", Password: "p"} }),
		"Basic dTpzM2NyZXQ=": with(func(c *Config) { c.BasicAuth = &BasicAuth{Username: "u", PasswordFile: secret} }),
		"Bearer tok":         with(func(c *Config) { c.BearerToken = "tok" }),
		"Bearer s3cret":      with(func(c *Config) { c.BearerTokenFile = secret }),
		"Bearer cred":        with(func(c *Config) { c.Authorization = &Authorization{Credentials: "cred"} }),
		"Custom cred":        with(func(c *Config) { c.Authorization = &Authorization{Type: "Custom", Credentials: "cred"} }),
		"Custom s3cret":      with(func(c *Config) { c.Authorization = &Authorization{Type: "Custom", CredentialsFile: secret} }),
		"":                   Default(),
	} {
		if got := get(t, c).Header.Get("Authorization"); got != want {
			t.Errorf("Authorization %q, want %q", got, want)
		}
	}
	c := with(func(c *Config) { c.HTTPHeaders = map[string][]component.Secret{"X-Tenant": {"a", "b"}} })
	if got := get(t, c).Header; strings.Join(got["X-Tenant"], ",") != "a,b" || got.Get("User-Agent") != "agent/1" {
		t.Errorf("headers: %v", got)
	}
}

func TestOAuth2FetchesAToken(t *testing.T) {
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		user, password, _ := r.BasicAuth()
		if user != "id" || password != "secret" || r.Form.Get("scope") != "a b" || r.Form.Get("audience") != "x" {
			t.Errorf("token request by %s:%s: %v", user, password, r.Form)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"granted","token_type":"Bearer","expires_in":3600}`)
	}))
	defer tokens.Close()
	c := Default()
	c.OAuth2 = &OAuth2{ClientID: "id", ClientSecret: "secret", TokenURL: tokens.URL, Scopes: []string{"a", "b"},
		EndpointParams: map[string]string{"audience": "x"}}
	if got := get(t, c).Header.Get("Authorization"); got != "Bearer granted" {
		t.Errorf("Authorization %q", got)
	}
}

func TestRequestsGoThroughTheProxy(t *testing.T) {
	var through string
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { through = r.URL.String() }))
	defer proxy.Close()
	c := Default()
	c.ProxyURL, c.NoProxy = proxy.URL, "direct.invalid"
	client, err := c.New("test", "a")
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://far.invalid/x")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if through != "http://far.invalid/x" {
		t.Errorf("the proxy saw %q", through)
	}
	if resp, err := client.Get("http://direct.invalid/"); err == nil {
		resp.Body.Close()
		t.Error("a host of no_proxy went through the proxy")
	}
}

func TestRedirectsAreFollowedUnlessSwitchedOff(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/there", http.StatusFound)
		}
	}))
	defer s.Close()
	for follow, want := range map[bool]int{true: http.StatusOK, false: http.StatusFound} {
		c := Default()
		c.FollowRedirects = follow
		client, err := c.New("test", "a")
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		client.CloseIdleConnections()
		if resp.StatusCode != want {
			t.Errorf("follow_redirects %t: status %d", follow, resp.StatusCode)
		}
	}
}

func TestTLSSettingsDecideWhoIsTrusted(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	for name, c := range map[string]struct {
		tls     *TLS
		http2   bool
		trusted bool
	}{
		"no settings":          {nil, true, false},
		"ca_pem":               {&TLS{CA: certificate}, true, true},
		"ca_file":              {&TLS{CAFile: writeFile(t, certificate)}, false, true},
		"server_name":          {&TLS{CA: certificate, ServerName: "other.invalid"}, true, false},
		"insecure_skip_verify": {&TLS{InsecureSkipVerify: true, MinVersion: "TLS13"}, true, true},
	} {
		config := Default()
		config.TLS, config.EnableHTTP2 = c.tls, c.http2
		client, err := config.New("test", "a")
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Get(s.URL)
		client.CloseIdleConnections()
		if (err == nil) != c.trusted {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err == nil {
			resp.Body.Close()
			if (resp.ProtoMajor == 2) != c.http2 {
				t.Errorf("%s: protocol %s, enable_http2 %t", name, resp.Proto, c.http2)
			}
		}
	}
}

func TestAClientThatMayWaitLooksForItsFilesWithEachRequest(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	config := Default()
	config.TLS = &TLS{CAFile: file}
	if _, err := config.New("test", "a"); err == nil {
		t.Error("New accepts a file that is absent")
	}
	client, err := config.NewLater("test", "a")
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	if _, err := client.Get(s.URL); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	config.TLS = &TLS{CA: "no PEM"}
	if _, err := config.NewLater("test", "a"); err == nil {
		t.Error("NewLater accepts a wrong certificate")
	}
}

func TestValidateSaysWhatIsWrong(t *testing.T) {
	for want, c := range map[string]Config{
		"at most one of basic_auth":                 {BasicAuth: &BasicAuth{}, BearerToken: "x"},
		"at most one of basic_auth, authoriz":       {Authorization: &Authorization{}, BearerTokenFile: "x"},
		"password_file: password is also set":       {BasicAuth: &BasicAuth{Password: "a", PasswordFile: "b"}},
		"credentials_file: credentials is also set": {Authorization: &Authorization{Credentials: "a", CredentialsFile: "b"}},
		"use the block basic_auth":                  {Authorization: &Authorization{Type: " Basic"}},
		"oauth2 > client_id: it must be set":        {OAuth2: &OAuth2{TokenURL: "http://t", ClientSecret: "s"}},
		"oauth2 > token_url: it must be set":        {OAuth2: &OAuth2{ClientID: "i", ClientSecret: "s"}},
		"client_secret and client_secret_file":      {OAuth2: &OAuth2{ClientID: "i", TokenURL: "http://t"}},
		"oauth2 > tls_config > ca_pem: at most":     {OAuth2: &OAuth2{ClientID: "i", TokenURL: "http://t", ClientSecret: "s", TLS: &TLS{CA: "a", CAFile: "b"}}},
		"tls_config > ca_pem: at most one":          {TLS: &TLS{CA: "a", CAFile: "b"}},
		"cert_pem and cert_file":                    {TLS: &TLS{Cert: "a", CertFile: "b", Key: "k"}},
		"key_pem and key_file":                      {TLS: &TLS{Cert: "a", Key: "k", KeyFile: "f"}},
		"a certificate needs its key":               {TLS: &TLS{CertFile: "a"}},
		"a key needs its certificate":               {TLS: &TLS{Key: "a"}},
		`min_version: "SSL3" is unknown`:            {TLS: &TLS{MinVersion: "SSL3"}},
		"proxy_from_environment: proxy_url is":      {ProxyURL: "http://p", ProxyFromEnvironment: true},
		"no_proxy: it needs proxy_url":              {NoProxy: "a"},
		"no_proxy: it has no effect":                {NoProxy: "a", ProxyFromEnvironment: true},
		"proxy_connect_header: it needs":            {ProxyConnectHeader: map[string][]component.Secret{"a": {"b"}}},
		"proxy_url: it is not a valid URL":          {ProxyURL: "http://u:secret@p:x"},
		`http_headers: "content-length" cannot`:     {HTTPHeaders: map[string][]component.Secret{"content-length": {"1"}}},
	} {
		_, err := c.New("test", "a")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("want an error that says %q, got %v", want, err)
		}
	}
}

func TestErrorsHoldNoSecrets(t *testing.T) {
	c := Default()
	c.ProxyURL = (&url.URL{Scheme: "http", Host: "127.0.0.1:1", User: url.UserPassword("u", "hunter2")}).String()
	c.BasicAuth = &BasicAuth{Username: "u", Password: "hunter2"}
	client, err := c.New("test", "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get("http://127.0.0.1:1/"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error is %v", err)
	}
}
