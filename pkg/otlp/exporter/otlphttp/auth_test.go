package otlphttp

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"collector/pkg/component"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/auth"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	receiver "collector/pkg/otlp/receiver/otlp"
	"collector/pkg/otlp/receiver/receivertest"
	"collector/pkg/pipeline"
)

func basic(t *testing.T, password component.Secret) *auth.Handler {
	t.Helper()
	c, err := auth.NewBasic(auth.BasicConfig{Username: "ann", Password: password}, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Exports()["handler"].(*auth.Handler)
}

func TestAnExporterAuthenticatesAtAReceiver(t *testing.T) {
	var to otlptest.Sink
	sv := receivertest.Start(t, otlptest.All(&to), func(c *receiver.Config) { c.HTTP.Auth = basic(t, "pw") })
	e := start(t, "http://"+sv.HTTP, t.TempDir(), func(c *Config) { c.Client.Auth = basic(t, "pw") })
	e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
	e.Settled(t)
	if len(to.Got()) != 1 {
		t.Errorf("%d requests have arrived", len(to.Got()))
	}
	other := start(t, "http://"+sv.HTTP, t.TempDir(), func(c *Config) { c.Client.Auth = basic(t, "wrong-password") })
	other.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
	listentest.Eventually(t, "the destination has an error", func() bool { return other.Delivery(t).LastError != "" })
	if s := other.Delivery(t); s.Queued != 1 || !strings.Contains(s.LastError, "401") || strings.Contains(s.LastError, "wrong-password") {
		t.Errorf("%+v", s)
	}
}

// tenants is a handler that sends the header X-Tenant of the request that came in as
// the tenant.
func tenants(t *testing.T) *auth.Handler {
	t.Helper()
	from := "X-Tenant"
	c, err := auth.NewHeaders(auth.HeadersConfig{Headers: []auth.Header{{Key: "X-Scope-OrgID", FromContext: &from, Action: "upsert"}}}, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Exports()["handler"].(*auth.Handler)
}

func TestHeadersOfARequestAreKeptInTheQueueOverARestart(t *testing.T) {
	up := false
	wb := startWeb(t, func(_ int, _ []byte, w http.ResponseWriter) {
		if !up {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	dir := t.TempDir()
	with := func(c *Config) { c.Client.Auth = tenants(t) }
	e := start(t, wb.URL, dir, with)
	for _, tenant := range []string{"red", "blue", "red"} {
		ctx := flow.WithMetadata(t.Context(), flow.Metadata{"X-Tenant": {tenant}})
		data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1)
		if err := e.WriteOTLP(ctx, pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data, Items: 1}); err != nil {
			t.Fatal(err)
		}
	}
	e.Stop()
	wb.mu.Lock()
	wb.requests, wb.bodies, up = nil, nil, true
	wb.mu.Unlock()
	again := start(t, wb.URL, dir, with)
	listentest.Eventually(t, "all is delivered", func() bool {
		all := again.Destinations()
		return len(all) == 1 && all[0].Delivered == 3
	})
	wb.mu.Lock()
	defer wb.mu.Unlock()
	var got []string
	for _, r := range wb.requests {
		got = append(got, r.Header.Get("X-Scope-OrgID"))
	}
	slices.Sort(got)
	if got = slices.Compact(got); fmt.Sprint(got) != "[blue red]" || len(wb.requests) > 3 {
		t.Errorf("sent %d requests, of %v", len(wb.requests), got)
	}
}

func TestAnExporterSendsAnOAuth2Token(t *testing.T) {
	granted := 0
	tokens := startWeb(t, func(_ int, _ []byte, w http.ResponseWriter) {
		granted++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"%d","expires_in":3600}`, granted)
	})
	c, err := auth.NewOAuth2(auth.OAuth2Config{ClientID: "id", ClientSecret: "secret", TokenURL: tokens.URL}, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wb := startWeb(t, func(int, []byte, http.ResponseWriter) {})
	e := start(t, wb.URL, t.TempDir(), func(o *Config) { o.Client.Auth = c.Exports()["handler"].(*auth.Handler) })
	e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
	e.Settled(t)
	wb.mu.Lock()
	defer wb.mu.Unlock()
	if got := wb.requests[0].Header.Get("Authorization"); got != "Bearer 1" {
		t.Errorf("sent %q", got)
	}
	if s := c.Status().(auth.Status); s.Error != "" || s.Expires.IsZero() {
		t.Errorf("shows %+v", s)
	}
}
