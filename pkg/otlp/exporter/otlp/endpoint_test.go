package otlp

import (
	"strings"
	"testing"

	"collector/pkg/component"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/exporter/exportertest"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/receiver/receivertest"
	"collector/pkg/pipeline"
)

func TestExporterSendsHeaders(t *testing.T) {
	b := startBackend(t, &backend{}, "127.0.0.1:0")
	e := start(t, "dns:///"+b.address, t.TempDir(), func(c *Config) {
		c.Client.Headers = map[string]string{"X-Scope-OrgID": "tenant"}
		c.Client.Authority = "tempo.example.com"
		c.Client.WaitForReady = true
	})
	e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
	e.Settled(t)
	md := b.metadata[0]
	if got := md.Get("x-scope-orgid"); len(got) != 1 || got[0] != "tenant" {
		t.Errorf("header %v", got)
	}
	if got := md.Get(":authority"); len(got) != 1 || got[0] != "tempo.example.com" {
		t.Errorf("authority %v", got)
	}
	if got := md.Get("user-agent"); len(got) != 1 || !strings.HasPrefix(got[0], "collector/test") {
		t.Errorf("user agent %v", got)
	}
}

func TestAHostHeaderIsTheHostThatGRPCAsksFor(t *testing.T) {
	for _, name := range []string{"Host", "host", ":authority"} {
		b := startBackend(t, &backend{}, "127.0.0.1:0")
		e := start(t, b.address, t.TempDir(), func(c *Config) {
			c.Client.Headers = map[string]string{name: "name.example"}
		})
		e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
		e.Settled(t)
		if got := b.metadata[0].Get(":authority"); len(got) != 1 || got[0] != "name.example" {
			t.Errorf("%s: the server was asked as %v", name, got)
		}
		e.Stop()
	}
}

func TestExporterGRPCEndpoints(t *testing.T) {
	for endpoint, want := range map[string]string{
		"tempo:4317": "tempo:4317", "http://tempo:4317": "tempo:4317", "https://tempo:443": "tempo:443",
		"dns:///tempo:4317": "dns:///tempo:4317", "dns://8.8.8.8/tempo:4317": "dns://8.8.8.8/tempo:4317",
		"unix:///run/otlp.sock": "unix:///run/otlp.sock", "[::1]:4317": "[::1]:4317",
		"tempo": "tempo", "[::1]": "[::1]", "": "", ":4317": ":4317", "http://tempo:4317/v1/traces": "", "tempo:http": "",
		"tempo:": "", "<TEMPO_ENDPOINT>": "", "<TEMPO>:4317": "", "http://": "", "a:b:c": "", "localhost:4317/v1/traces": "",
	} {
		c := &Client{Endpoint: endpoint}
		if why := c.off(); (why == "") != (want != "") || why == "" && c.target() != want {
			t.Errorf("%q: %q, off because %q", endpoint, c.target(), why)
		}
	}
}

// Alloy starts with such endpoints, and fails when it sends.
func TestAnEndpointThatNothingCanBeSentToIsOff(t *testing.T) {
	for _, endpoint := range []string{"<TEMPO_ENDPOINT>", "tempo:4317/v1/traces"} {
		var warned []string
		o := component.Options{Dir: t.TempDir(), Warn: func(name, why string) { warned = append(warned, name+": "+why) }}
		var c Config
		c.SetToDefault()
		c.Client.Endpoint = endpoint
		e, err := New(c, o)
		if err != nil {
			t.Fatal(err)
		}
		exportertest.DropsAndWarns(t, e, flow.Signals(), warned, "client/endpoint: ")
	}
}

func TestExporterHintsAtWrongProtocols(t *testing.T) {
	var to otlptest.Sink
	sv := receivertest.Start(t, otlptest.All(&to), nil)
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1)

	toHTTPPort := start(t, sv.HTTP, t.TempDir(), nil)
	toHTTPPort.Write(t, pipeline.SignalTraces, data, nil)
	listentest.Eventually(t, "gRPC at an HTTP port draws a hint", func() bool {
		return strings.Contains(toHTTPPort.Delivery(t).LastError, "gRPC port")
	})
	tlsToPlain := start(t, sv.GRPC, t.TempDir(), func(c *Config) { c.Client.TLS.Insecure = false })
	tlsToPlain.Write(t, pipeline.SignalTraces, data, nil)
	listentest.Eventually(t, "TLS at a plain port shows", func() bool { return tlsToPlain.Delivery(t).LastError != "" })
}
