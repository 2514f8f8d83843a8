package httpclienttest

import (
	"crypto/tls"
	"net/http"
	"slices"
	"strings"

	"collector/pkg/component"
	"collector/pkg/httpclient"
)

// A host that does not exist, so that only a proxy can answer for it.
const (
	far       = "http://far.invalid"
	farSecure = "https://far.invalid"
)

func cases() []effect {
	return slices.Concat(credentialCases(), requestCases(), proxyCases("", ownProxy), oauth2Cases(),
		proxyCases("oauth2 > ", oauth2Proxy), tlsCases("", ownTLS), tlsCases("oauth2 > ", oauth2TLS))
}

// credentialCases are about the header Authorization.
func credentialCases() []effect {
	authorization := func(want string, change func(*running, *httpclient.Config), arguments ...string) effect {
		return effect{arguments, func(r *running) {
			s := r.newServer(nil, nothing)
			r.send(s.url, func(c *httpclient.Config) { change(r, c) })
			r.await(s, "Authorization: "+want, func(h heard) bool { return h.request.Header.Get("Authorization") == want })
		}}
	}
	return []effect{
		authorization("Basic dTpw", func(_ *running, c *httpclient.Config) {
			c.BasicAuth = &httpclient.BasicAuth{Username: "u", Password: "p"}
		}, "basic_auth > username", "basic_auth > password"),
		authorization("Basic dTpzM2NyZXQ=", func(r *running, c *httpclient.Config) {
			c.BasicAuth = &httpclient.BasicAuth{Username: "u", PasswordFile: r.file("s3cret\n")}
		}, "basic_auth > password_file"),
		authorization("Custom cred", func(_ *running, c *httpclient.Config) {
			c.Authorization = &httpclient.Authorization{Type: "Custom", Credentials: "cred"}
		}, "authorization > type", "authorization > credentials"),
		authorization("Bearer s3cret", func(r *running, c *httpclient.Config) {
			c.Authorization = &httpclient.Authorization{CredentialsFile: r.file("s3cret\n")}
		}, "authorization > credentials_file"),
		authorization("Bearer tok", func(_ *running, c *httpclient.Config) { c.BearerToken = "tok" }, "bearer_token"),
		authorization("Bearer s3cret", func(r *running, c *httpclient.Config) { c.BearerTokenFile = r.file("s3cret\n") }, "bearer_token_file"),
	}
}

// requestCases are about everything else of a request.
func requestCases() []effect {
	const there = "/there"
	redirects := func(w http.ResponseWriter, request *http.Request) {
		if !strings.HasPrefix(request.URL.Path, there) {
			http.Redirect(w, request, there+request.URL.Path, http.StatusTemporaryRedirect)
		}
	}
	followed := func(h heard) bool { return strings.HasPrefix(h.request.URL.Path, there) }
	protocol := func(r *running, http2 bool) {
		s := r.newServer(&tls.Config{}, nothing)
		r.send(s.url, func(c *httpclient.Config) { c.EnableHTTP2, c.TLS = http2, &httpclient.TLS{CA: s.ca} })
		r.await(s, "the protocol", func(h heard) bool { return h.request != nil && (h.request.ProtoMajor == 2) == http2 })
	}
	return []effect{
		{[]string{"follow_redirects"}, func(r *running) {
			s := r.newServer(nil, redirects)
			r.send(s.url, func(c *httpclient.Config) { c.FollowRedirects = true })
			r.await(s, "a request that follows", followed)
		}},
		{[]string{"follow_redirects"}, func(r *running) {
			s := r.newServer(nil, redirects)
			r.send(s.url, func(c *httpclient.Config) { c.FollowRedirects = false })
			r.never(s, 2, "a request that follows", followed)
		}},
		{[]string{"enable_http2"}, func(r *running) { protocol(r, true) }},
		{[]string{"enable_http2"}, func(r *running) { protocol(r, false) }},
		{[]string{"http_headers"}, func(r *running) {
			s := r.newServer(nil, nothing)
			r.send(s.url, func(c *httpclient.Config) { c.HTTPHeaders = map[string][]component.Secret{"X-Own": {"a", "b"}} })
			r.await(s, "the header", func(h heard) bool { return slices.Equal(h.request.Header["X-Own"], []string{"a", "b"}) })
		}},
	}
}

// proxy are the settings of a proxy.
type proxy struct {
	url, no         string
	fromEnvironment bool
	header          map[string][]component.Secret
}

func ownProxy(_ *running, c *httpclient.Config, _ string, p proxy) {
	c.ProxyURL, c.NoProxy, c.ProxyFromEnvironment, c.ProxyConnectHeader = p.url, p.no, p.fromEnvironment, p.header
}

func oauth2Proxy(_ *running, c *httpclient.Config, asked string, p proxy) {
	c.OAuth2 = &httpclient.OAuth2{
		ClientID: "id", ClientSecret: "secret", TokenURL: asked,
		ProxyURL: p.url, NoProxy: p.no, ProxyFromEnvironment: p.fromEnvironment, ProxyConnectHeader: p.header,
	}
}

// proxyCases are about requests to asked, for which set sets the proxy.
func proxyCases(prefix string, set func(r *running, c *httpclient.Config, asked string, p proxy)) []effect {
	send := func(r *running, asked string, p proxy) {
		to := asked
		if prefix != "" { // the request for a token is what is looked at
			to = r.newServer(nil, nothing).url
		}
		r.send(to, func(c *httpclient.Config) { set(r, c, asked, p) })
	}
	forFar := func(h heard) bool { return h.request.URL.Host == "far.invalid" }
	return []effect{
		{[]string{prefix + "proxy_url"}, func(r *running) {
			s := r.newServer(nil, nothing)
			send(r, far, proxy{url: s.url})
			r.await(s, "a request for another host", forFar)
		}},
		{[]string{prefix + "no_proxy"}, func(r *running) {
			s, through := r.newServer(nil, tokens), r.newServer(nil, nothing)
			send(r, s.url, proxy{url: through.url, no: "127.0.0.1"})
			r.await(s, "a request", func(h heard) bool { return true })
		}},
		{[]string{prefix + "proxy_from_environment"}, func(r *running) {
			s := r.newServer(nil, nothing)
			r.Setenv("HTTP_PROXY", s.url)
			send(r, far, proxy{fromEnvironment: true})
			r.await(s, "a request for another host", forFar)
		}},
		{[]string{prefix + "proxy_connect_header"}, func(r *running) {
			s := r.newServer(nil, nothing)
			send(r, farSecure, proxy{url: s.url, header: map[string][]component.Secret{"X-Proxy": {"p"}}})
			r.await(s, "CONNECT with the header", func(h heard) bool {
				return h.request.Method == http.MethodConnect && h.request.Header.Get("X-Proxy") == "p"
			})
		}},
	}
}

func oauth2Cases() []effect {
	token := func(secret func(*running, *httpclient.OAuth2), arguments ...string) effect {
		return effect{arguments, func(r *running) {
			s, of := r.newServer(nil, nothing), r.newServer(nil, tokens)
			o := &httpclient.OAuth2{ClientID: "id", TokenURL: of.url, Scopes: []string{"a", "b"}, EndpointParams: map[string]string{"audience": "x"}}
			secret(r, o)
			r.send(s.url, func(c *httpclient.Config) { c.OAuth2 = o })
			r.await(of, "a request for a token", func(h heard) bool {
				user, password, _ := h.request.BasicAuth()
				return user == "id" && password == "s3cret" && h.request.Form.Get("scope") == "a b" && h.request.Form.Get("audience") == "x"
			})
			r.await(s, "the token", func(h heard) bool { return h.request.Header.Get("Authorization") == "Bearer granted" })
		}}
	}
	return []effect{
		token(func(_ *running, o *httpclient.OAuth2) { o.ClientSecret = "s3cret" },
			"oauth2 > client_id", "oauth2 > client_secret", "oauth2 > token_url", "oauth2 > scopes", "oauth2 > endpoint_params"),
		token(func(r *running, o *httpclient.OAuth2) { o.ClientSecretFile = r.file("s3cret\n") }, "oauth2 > client_secret_file"),
	}
}

func ownTLS(c *httpclient.Config, _ string, t *httpclient.TLS) { c.TLS = t }

func oauth2TLS(c *httpclient.Config, asked string, t *httpclient.TLS) {
	c.OAuth2 = &httpclient.OAuth2{ClientID: "id", ClientSecret: "secret", TokenURL: asked, TLS: t}
}

// tlsCases are about a server for which set sets what the client does by TLS.
func tlsCases(prefix string, set func(c *httpclient.Config, asked string, t *httpclient.TLS)) []effect {
	send := func(r *running, server *tls.Config, make func(*running, *server) *httpclient.TLS) *server {
		s := r.newServer(server, tokens)
		to := s.url
		if prefix != "" {
			to = r.newServer(nil, nothing).url
		}
		t := make(r, s)
		r.send(to, func(c *httpclient.Config) { set(c, s.url, t) })
		return s
	}
	one := func(name string, server *tls.Config, make func(*running, *server) *httpclient.TLS, is func(heard) bool) effect {
		return effect{[]string{prefix + "tls_config > " + name}, func(r *running) {
			r.await(send(r, server, make), "what "+name+" does", is)
		}}
	}
	arrives := func(h heard) bool { return h.request != nil }
	asks := &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	by := func(name string) func(heard) bool {
		return func(h heard) bool {
			return h.request != nil && len(h.request.TLS.PeerCertificates) > 0 && h.request.TLS.PeerCertificates[0].Subject.CommonName == name
		}
	}
	identified := func(files bool) func(*running, *server) *httpclient.TLS {
		return func(r *running, s *server) *httpclient.TLS {
			cert, key := r.identity("client")
			if files {
				return &httpclient.TLS{CA: s.ca, CertFile: r.file(cert), KeyFile: r.file(key)}
			}
			return &httpclient.TLS{CA: s.ca, Cert: cert, Key: component.Secret(key)}
		}
	}
	return []effect{
		one("ca_pem", &tls.Config{}, func(_ *running, s *server) *httpclient.TLS { return &httpclient.TLS{CA: s.ca} }, arrives),
		one("ca_file", &tls.Config{}, func(r *running, s *server) *httpclient.TLS { return &httpclient.TLS{CAFile: r.file(s.ca)} }, arrives),
		one("insecure_skip_verify", &tls.Config{}, func(*running, *server) *httpclient.TLS { return &httpclient.TLS{InsecureSkipVerify: true} }, arrives),
		one("cert_pem", asks.Clone(), identified(false), by("client")),
		one("key_pem", asks.Clone(), identified(false), by("client")),
		one("cert_file", asks.Clone(), identified(true), by("client")),
		one("key_file", asks.Clone(), identified(true), by("client")),
		one("server_name", &tls.Config{}, func(_ *running, s *server) *httpclient.TLS {
			return &httpclient.TLS{CA: s.ca, ServerName: "example.com"}
		}, func(h heard) bool { return h.hello != nil && h.hello.ServerName == "example.com" }),
		one("min_version", &tls.Config{}, func(_ *running, s *server) *httpclient.TLS {
			return &httpclient.TLS{CA: s.ca, MinVersion: "TLS13"}
		}, func(h heard) bool {
			return h.hello != nil && !slices.Contains(h.hello.SupportedVersions, tls.VersionTLS12)
		}),
	}
}
