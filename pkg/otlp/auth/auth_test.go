package auth

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/security"
)

// handlerOf is what a component exports.
func handlerOf(t *testing.T, c component.Component, err error) *Handler {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return c.(interface{ Exports() map[string]any }).Exports()["handler"].(*Handler)
}

// made makes a component from its defaults with the change.
func made[C any, P interface {
	*C
	SetToDefault()
	Validate() error
}, T component.Component](t *testing.T, construct func(C, component.Options) (T, error), change func(P)) *Handler {
	t.Helper()
	var c C
	P(&c).SetToDefault()
	change(&c)
	if err := P(&c).Validate(); err != nil {
		t.Fatal(err)
	}
	made, err := construct(c, component.Options{ID: "otelcol.auth.test.x"})
	return handlerOf(t, made, err)
}

func basic(t *testing.T, username, password string) *Handler {
	t.Helper()
	return made(t, NewBasic, func(c *BasicConfig) { c.Username, c.Password = username, component.Secret(password) })
}

func encoded(credentials string) string {
	return base64.StdEncoding.EncodeToString([]byte(credentials))
}

func TestBasicSendsAndAsksForNameAndPassword(t *testing.T) {
	h := basic(t, "ann", "s3cr:et")
	sent := http.Header{}
	if err := h.Client().Add(t.Context(), "", sent); err != nil {
		t.Fatal(err)
	}
	if got, want := sent.Get("Authorization"), "Basic "+encoded("ann:s3cr:et"); got != want || !h.Client().Secret() {
		t.Errorf("sends %s, want %s", got, want)
	}
	known, err := h.Server().Authenticate(flow.Metadata(sent))
	if err != nil || known["username"] != "ann" || known["raw"] != encoded("ann:s3cr:et") {
		t.Errorf("knows %v, %v", known, err)
	}
	if _, err := h.Server().Authenticate(flow.Metadata{"authorization": {"bASIC " + encoded("ann:s3cr:et")}}); err != nil {
		t.Errorf("by gRPC: %v", err)
	}
	for _, c := range []struct {
		sent string
		want error
	}{
		{"", errMissing}, {"Bearer x", errWrong}, {"Basic", errWrong}, {"Basic %", errWrong}, {"Basic " + encoded("ann"), errWrong},
		{"Basic " + encoded("ann:no"), errWrong}, {"Basic " + encoded("bob:s3cr:et"), errWrong}, {"Basic " + encoded(":"), errWrong},
	} {
		if _, err := h.Server().Authenticate(flow.Metadata{"Authorization": {c.sent}}); !errors.Is(err, c.want) || strings.Contains(fmt.Sprint(err), "s3cr") {
			t.Errorf("%q: %v, want %v", c.sent, err, c.want)
		}
	}
	if _, err := h.Server().Authenticate(nil); !errors.Is(err, errMissing) {
		t.Errorf("without headers: %v", err)
	}
}

// A variable that is not set must not let everyone in.
func TestWithoutAPasswordOrATokenNobodyIsLetIn(t *testing.T) {
	if _, err := basic(t, "ann", "").Server().Authenticate(flow.Metadata{"Authorization": {"Basic " + encoded("ann:")}}); !errors.Is(err, errWrong) {
		t.Errorf("basic: %v", err)
	}
	bearer := made(t, NewBearer, func(*BearerConfig) {})
	if _, err := bearer.Server().Authenticate(flow.Metadata{"Authorization": {"Bearer "}}); !errors.Is(err, errWrong) {
		t.Errorf("bearer: %v", err)
	}
}

func TestBearerSendsAndAsksForTheToken(t *testing.T) {
	for _, c := range []struct{ scheme, header, want string }{
		{"Bearer", "Authorization", "Bearer tok-1"}, {"Api", "X-Token", "Api tok-1"}, {"", "X-Token", "tok-1"},
	} {
		h := made(t, NewBearer, func(b *BearerConfig) { b.Token, b.Scheme, b.Header = "tok-1", c.scheme, c.header })
		sent := http.Header{}
		if err := h.Client().Add(t.Context(), "", sent); err != nil || sent.Get(c.header) != c.want || len(sent) != 1 {
			t.Errorf("%+v: sends %v, %v", c, sent, err)
		}
		if _, err := h.Server().Authenticate(flow.Metadata(sent)); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		if _, err := h.Server().Authenticate(flow.Metadata{strings.ToLower(c.header): {c.want}}); err != nil {
			t.Errorf("%+v, by gRPC: %v", c, err)
		}
		for _, wrong := range []string{"", c.want + "x", "Bearer tok-2"} {
			if _, err := h.Server().Authenticate(flow.Metadata{c.header: {wrong}}); !errors.Is(err, errWrong) || strings.Contains(err.Error(), "tok") {
				t.Errorf("%+v, %q: %v", c, wrong, err)
			}
		}
		if _, err := h.Server().Authenticate(nil); !errors.Is(err, errMissing) {
			t.Errorf("%+v without headers: %v", c, err)
		}
	}
}

func headers(t *testing.T, all ...Header) *Handler {
	t.Helper()
	c, err := NewHeaders(HeadersConfig{Headers: all}, component.Options{ID: "otelcol.auth.test.x"})
	return handlerOf(t, c, err)
}

func text[T ~string](v T) *T { return &v }

func TestEachActionSetsHeaders(t *testing.T) {
	for action, want := range map[string]string{
		"insert": "map[Has:[before] Lacks:[v]]", "update": "map[Has:[v]]", "UPSERT": "map[Has:[v] Lacks:[v]]", "delete": "map[]",
	} {
		var all []Header
		for _, key := range []string{"Has", "Lacks"} {
			all = append(all, Header{Key: key, Value: text(component.Secret("v")), Action: action})
		}
		got := http.Header{"Has": {"before"}}
		if err := headers(t, all...).Client().Add(t.Context(), "", got); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, %v, want %s", action, got, err, want)
		}
	}
}

func TestHeadersComeFromTheRequestThatCameIn(t *testing.T) {
	c := headers(t,
		Header{Key: "X-Scope-OrgID", FromContext: text("X-Tenant"), Action: actionUpsert},
		Header{Key: "X-User", FromAttribute: text("username"), Action: actionUpsert},
		Header{Key: "X-Fixed", Value: text(component.Secret("f")), Action: actionUpsert},
	).Client()
	ctx := flow.WithMetadata(t.Context(), flow.Metadata{"x-tenant": {"red"}})
	ctx = flow.WithAuth(ctx, map[string]string{"username": "ann"})
	for _, f := range []struct {
		ctx  context.Context
		want string
	}{
		{ctx, "map[X-Fixed:[f] X-Scope-Orgid:[red] X-User:[ann]]"},
		{t.Context(), "map[X-Fixed:[f] X-Scope-Orgid:[] X-User:[]]"},
		{flow.WithMetadata(t.Context(), flow.Metadata{"X-Tenant": {"a\r\nb"}}), "map[X-Fixed:[f] X-Scope-Orgid:[] X-User:[]]"},
	} {
		got := http.Header{}
		if err := c.Add(t.Context(), c.Carry(f.ctx), got); err != nil || fmt.Sprint(got) != f.want {
			t.Errorf("got %v, %v, want %s", got, err, f.want)
		}
	}
	if fixed := headers(t, Header{Key: "X", Value: text(component.Secret("f")), Action: actionUpsert}).Client(); fixed.Carry(ctx) != "" || fixed.Secret() {
		t.Error("what is always the same is carried, or is secret")
	}
	if err := c.Add(t.Context(), "{", http.Header{}); err == nil {
		t.Error("what is no note of Carry is read")
	}
}

func TestTheTenantIsTheHeadersThatAreAlwaysTheSame(t *testing.T) {
	h := headers(t,
		Header{Key: "X-Scope-OrgID", Value: text(component.Secret("red")), Action: actionUpsert},
		Header{Key: "X-Removed", Value: text(component.Secret("x")), Action: actionDelete},
		Header{Key: "X-Other", FromContext: text("X-Other"), Action: actionUpsert},
	)
	got := TenantHeaders(h.Client(), map[string]string{"X-Scope-OrgID": "blue", "Own": "o"})
	if want := map[string]string{"X-Scope-OrgID": "red", "Own": "o"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	own := map[string]string{"Own": "o"}
	for _, c := range []Client{nil, basic(t, "a", "b").Client()} {
		if got := TenantHeaders(c, own); !maps.Equal(got, own) {
			t.Errorf("got %v", got)
		}
	}
}

func TestEachSideAcceptsTheHandlersThatItCanUse(t *testing.T) {
	both, clients := basic(t, "a", "b"), headers(t)
	for _, h := range []*Handler{nil, both, clients, Kind().Absent().(*Handler)} {
		if err := h.CheckClient(); err != nil {
			t.Errorf("a client refuses %+v: %v", h, err)
		}
	}
	for _, h := range []*Handler{nil, both, Kind().Absent().(*Handler)} {
		if err := h.CheckServer(); err != nil {
			t.Errorf("a server refuses %+v: %v", h, err)
		}
	}
	if err := clients.CheckServer(); err == nil || !strings.HasPrefix(err.Error(), "auth: ") || !strings.Contains(err.Error(), "otelcol.auth.test.x") {
		t.Errorf("a server takes a handler for clients: %v", err)
	}
	if (*Handler)(nil).Client() != nil || (*Handler)(nil).Server() != nil || !Kind().Holds(both) {
		t.Error("no handler does something")
	}
}

func TestConfigsAreCheckedAndSayWhere(t *testing.T) {
	otlptest.Says(t, "", func(*BasicConfig) {})
	otlptest.Says(t, "password: ", func(c *BasicConfig) { c.Password = "$2y$10$abc" })
	otlptest.Says(t, "", func(*BearerConfig) {})
	otlptest.Says(t, "header: ", func(c *BearerConfig) { c.Header = "a b" })
	otlptest.Says(t, "token: ", func(c *BearerConfig) { c.Token = "a\n" })
	otlptest.Says(t, "", func(h *Header) { h.Key, h.Value = "a", text(component.Secret("")) })
	otlptest.Says(t, "key: ", func(h *Header) { h.Value = text(component.Secret("v")) })
	otlptest.Says(t, "value: ", func(h *Header) { h.Key, h.Value = "a", text(component.Secret("\n")) })
	otlptest.Says(t, "action: ", func(h *Header) { h.Key, h.FromContext, h.Action = "a", text("b"), "replace" })
	otlptest.Says(t, "one of value", func(h *Header) { h.Key = "a" })
	otlptest.Says(t, "only one of value", func(h *Header) { h.Key, h.FromContext, h.FromAttribute = "a", text("b"), text("c") })
	otlptest.Says(t, "", func(*OAuth2Config) {})
	otlptest.Says(t, "token_url: ", func(c *OAuth2Config) { c.TokenURL = "sso/token" })
	otlptest.Says(t, "timeout: ", func(c *OAuth2Config) { c.Timeout = -1 })
}

// granting is a server of tokens "1", "2" and so on, which keeps the last request for
// one.
func granting(t *testing.T, tls bool) (server *httptest.Server, last *http.Request) {
	t.Helper()
	last = &http.Request{}
	granted := 0
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		*last = *r
		granted++
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":"%d","token_type":"Bearer","expires_in":3600}`, granted)
	}))
	if tls {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server, last
}

func TestOAuth2AsksForTokensAsConfigured(t *testing.T) {
	server, last := granting(t, true)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, ca, certificateOf(server))
	id, secret := filepath.Join(t.TempDir(), "id"), filepath.Join(t.TempDir(), "secret")
	writeFile(t, id, " file-id\n")
	writeFile(t, secret, "file-secret\n")
	for _, files := range []bool{false, true} {
		h := made(t, NewOAuth2, func(c *OAuth2Config) {
			c.ClientID, c.ClientSecret, c.TokenURL = "id", "secret", server.URL
			c.Scopes, c.EndpointParams = []string{"write", "read"}, map[string][]string{"audience": {"a", "b"}}
			c.TLS = security.TLSClient{TLS: security.TLS{CAFile: ca}}
			c.Timeout = time.Minute
			if files {
				c.ClientIDFile, c.ClientSecretFile = id, secret
			}
		})
		sent := http.Header{}
		for range 2 { // the second time the token is there
			if err := h.Client().Add(t.Context(), "", sent); err != nil {
				t.Fatal(err)
			}
		}
		user, password, _ := last.BasicAuth()
		want := "id secret"
		token := "Bearer 1"
		if files {
			want, token = "file-id file-secret", "Bearer 2"
		}
		if user+" "+password != want || sent.Get("Authorization") != token || !h.Client().Secret() || h.Client().Carry(t.Context()) != "" {
			t.Errorf("asks as %s %s, and sends %s", user, password, sent.Get("Authorization"))
		}
		if got := fmt.Sprint(last.PostForm); got != "map[audience:[a b] grant_type:[client_credentials] scope:[write read]]" {
			t.Errorf("asks for %s", got)
		}
	}
}

func certificateOf(server *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

func TestOAuth2WaitsForTheFilesOfItsTLS(t *testing.T) {
	server, _ := granting(t, true)
	ca := filepath.Join(t.TempDir(), "late.pem")
	c, err := NewOAuth2(OAuth2Config{ClientID: "id", ClientSecret: "s", TokenURL: server.URL, TLS: security.TLSClient{TLS: security.TLS{CAFile: ca}}}, component.Options{})
	client := handlerOf(t, c, err).Client()
	if err := client.Add(t.Context(), "", http.Header{}); err == nil || !strings.Contains(err.Error(), ca) {
		t.Errorf("without the file: %v", err)
	}
	writeFile(t, ca, certificateOf(server))
	if err := client.Add(t.Context(), "", http.Header{}); err != nil {
		t.Error(err)
	}
}

func TestOAuth2ShowsWhyThereIsNoToken(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		http.Error(w, "no client with "+password, http.StatusUnauthorized)
	}))
	t.Cleanup(server.Close)
	c, err := NewOAuth2(OAuth2Config{ClientID: "id", ClientSecret: "s3cret-word", TokenURL: server.URL}, component.Options{})
	client := handlerOf(t, c, err).Client()
	err = client.Add(t.Context(), "", http.Header{})
	if err == nil || strings.Contains(err.Error(), "s3cret-word") || !strings.Contains(err.Error(), "401") {
		t.Errorf("got %v", err)
	}
	if s := c.Status().(Status); s.Error != err.Error() || c.Health() == nil || c.Health().Error() != err.Error() {
		t.Errorf("shows %+v, and is %v", s, c.Health())
	}
	for _, file := range []string{"absent", "empty"} {
		path := filepath.Join(t.TempDir(), file)
		if file == "empty" {
			writeFile(t, path, "\n")
		}
		c, err := NewOAuth2(OAuth2Config{ClientIDFile: path, ClientSecret: "s", TokenURL: server.URL}, component.Options{})
		if err := handlerOf(t, c, err).Client().Add(t.Context(), "", http.Header{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestOAuth2GivesUpAfterTheTimeout(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	h := made(t, NewOAuth2, func(c *OAuth2Config) {
		c.ClientID, c.ClientSecret, c.TokenURL, c.Timeout = "id", "secret", server.URL, 10*time.Millisecond
	})
	if err := h.Client().Add(t.Context(), "", http.Header{}); err == nil || !strings.Contains(err.Error(), "fetch an OAuth2 token") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsEmptyIsWarnedOf(t *testing.T) {
	var warned []string
	o := component.Options{Warn: func(path, _ string) { warned = append(warned, path) }}
	var b BasicConfig
	var r BearerConfig
	var a OAuth2Config
	b.SetToDefault()
	b.Username = "a:b"
	r.SetToDefault()
	a.SetToDefault()
	_, err1 := NewBasic(b, o)
	_, err2 := NewBearer(r, o)
	_, err3 := NewOAuth2(a, o)
	if err := errors.Join(err1, err2, err3); err != nil || fmt.Sprint(warned) != "[username password token client_id client_secret token_url]" {
		t.Errorf("warned of %v, %v", warned, err)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Nobody is let in without the credentials, and no error repeats them. Anything that
// Carry did not return is an error.
func FuzzAuthenticate(f *testing.F) {
	f.Add("Basic "+encoded("ann:s3cret-word"), `{"0":"red"}`)
	f.Add("basic YW5u", `{"0":1}`)
	f.Add("Bearer t0ken-word", "{")
	f.Fuzz(func(t *testing.T, sent, carried string) {
		server := basicServer{"ann", "s3cret-word"}
		_, err := server.Authenticate(flow.Metadata{"Authorization": {sent}})
		r := http.Request{Header: http.Header{"Authorization": {sent}}}
		name, password, ok := r.BasicAuth()
		if right := ok && name == "ann" && password == "s3cret-word"; right != (err == nil) {
			t.Errorf("%q: %v", sent, err)
		}
		_, err = bearerServer{"Authorization", "Bearer t0ken-word", false}.Authenticate(flow.Metadata{"Authorization": {sent}})
		if (sent == "Bearer t0ken-word") != (err == nil) || err != nil && strings.Contains(err.Error(), "word") {
			t.Errorf("%q: %v", sent, err)
		}
		from := "X"
		got := http.Header{}
		if err := (headersClient{{Key: "X", FromContext: &from, Action: actionUpsert}}).Add(t.Context(), carried, got); (err == nil) != (len(got) == 1) {
			t.Errorf("%q: %v, %v", carried, got, err)
		}
	})
}
