package otlp

import (
	"strings"
	"testing"

	"collector/pkg/component"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/auth"
	"collector/pkg/otlp/exporter/exportertest"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	receiver "collector/pkg/otlp/receiver/otlp"
	"collector/pkg/otlp/receiver/receivertest"
	"collector/pkg/pipeline"
)

func bearer(t *testing.T, token component.Secret) *auth.Handler {
	t.Helper()
	c, err := auth.NewBearer(auth.BearerConfig{Scheme: "Bearer", Header: "Authorization", Token: token}, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Exports()["handler"].(*auth.Handler)
}

func TestAnExporterAuthenticatesAtAReceiver(t *testing.T) {
	server, client := exportertest.Certified(t)
	var to otlptest.Sink
	sv := receivertest.Start(t, otlptest.All(&to), func(c *receiver.Config) { c.GRPC.TLS, c.GRPC.Auth = &server, bearer(t, "right-token") })
	with := func(token component.Secret) func(*Config) {
		return func(c *Config) { c.Client.TLS, c.Client.Auth = client, bearer(t, token) }
	}
	e := start(t, sv.GRPC, t.TempDir(), with("right-token"))
	e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
	e.Settled(t)
	if len(to.Got()) != 1 {
		t.Errorf("%d requests have arrived", len(to.Got()))
	}
	other := start(t, sv.GRPC, t.TempDir(), with("wrong-token"))
	other.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
	listentest.Eventually(t, "the destination has an error", func() bool { return other.Delivery(t).LastError != "" })
	if s := other.Delivery(t); s.Queued != 1 || !strings.Contains(s.LastError, "Unauthenticated") || strings.Contains(s.LastError, "wrong-token") {
		t.Errorf("%+v", s)
	}
}

func TestCredentialsAreNotSentInPlainText(t *testing.T) {
	b := startBackend(t, &backend{}, "127.0.0.1:0")
	e := start(t, b.address, t.TempDir(), func(c *Config) { c.Client.Auth = bearer(t, "tok-1") })
	e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
	listentest.Eventually(t, "the destination has an error", func() bool { return e.Delivery(t).LastError != "" })
	if s := e.Delivery(t); s.Queued != 1 || !strings.Contains(s.LastError, "not sent without TLS") {
		t.Errorf("%+v", s)
	}
}

func TestHeadersOfTheRequestThatCameInAreSent(t *testing.T) {
	from, fixed := "x-tenant", component.Secret("own")
	c, err := auth.NewHeaders(auth.HeadersConfig{Headers: []auth.Header{
		{Key: "X-Scope-OrgID", FromContext: &from, Action: "upsert"}, {Key: "X-Static", Value: &fixed, Action: "insert"},
	}}, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var to otlptest.Sink
	sv := receivertest.Start(t, otlptest.All(&to), func(c *receiver.Config) { c.GRPC.IncludeMetadata = true })
	e := start(t, sv.GRPC, t.TempDir(), func(o *Config) {
		o.Client.Auth = c.Exports()["handler"].(*auth.Handler)
		o.Client.Headers = map[string]string{"x-static": "configured", "x-scope-orgid": "configured"}
	})
	ctx := flow.WithMetadata(t.Context(), flow.Metadata{"x-tenant": {"red"}})
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1)
	if err := e.WriteOTLP(ctx, pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data, Items: 1}); err != nil {
		t.Fatal(err)
	}
	e.Settled(t)
	got := to.Metadata()[0]
	if tenant, static := got.Values("X-Scope-OrgID"), got.Values("X-Static"); len(tenant) != 1 || tenant[0] != "red" || len(static) != 1 || static[0] != "configured" {
		t.Errorf("sent %q and %q", tenant, static)
	}
}
