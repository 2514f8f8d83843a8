package otlp

import (
	"slices"
	"strings"
	"testing"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

func TestExporterSendsHeaders(t *testing.T) {
	b := startBackend(t, &backend{}, "127.0.0.1:0")
	e := grpcExporter(t, "dns:///"+b.address, t.TempDir(), func(c *ExporterGRPCConfig) {
		c.Client.Headers = map[string]string{"X-Scope-OrgID": "tenant"}
		c.Client.Authority = "tempo.example.com"
		c.Client.WaitForReady = true
	})
	e.write(t, pipeline.SignalTraces, request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
	e.settled(t)
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
		e := grpcExporter(t, b.address, t.TempDir(), func(c *ExporterGRPCConfig) {
			c.Client.Headers = map[string]string{name: "name.example"}
		})
		e.write(t, pipeline.SignalTraces, request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
		e.settled(t)
		if got := b.metadata[0].Get(":authority"); len(got) != 1 || got[0] != "name.example" {
			t.Errorf("%s: the server was asked as %v", name, got)
		}
		e.stop()
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
		c := &GRPCClient{Endpoint: endpoint}
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
		var c ExporterGRPCConfig
		c.SetToDefault()
		c.Client.Endpoint = endpoint
		e, err := NewExporterGRPC(c, o)
		if err != nil {
			t.Fatal(err)
		}
		dropsAndWarns(t, e, flow.Signals(), warned, "client/endpoint: ")
	}
	for _, test := range []struct {
		client, traces string
		off            [3]pipeline.Signal // the signals that are
		argument       string
	}{
		{"tempo:4318", "", flow.Signals(), "client/endpoint: "},
		{"<TEMPO>", "", flow.Signals(), "client/endpoint: "},
		{"http://127.0.0.1:1", "<TEMPO>", [3]pipeline.Signal{pipeline.SignalTraces}, "traces_endpoint: "},
		{"tempo:4318", "http://127.0.0.1:1", [3]pipeline.Signal{pipeline.SignalMetrics, pipeline.SignalLogs}, "client/endpoint: "},
	} {
		var warned []string
		o := component.Options{Dir: t.TempDir(), Warn: func(name, why string) { warned = append(warned, name+": "+why) }}
		var c ExporterHTTPConfig
		c.SetToDefault()
		c.Client.Endpoint, c.TracesEndpoint = test.client, test.traces
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", test, err)
		}
		e, err := NewExporterHTTP(c, o)
		if err != nil {
			t.Fatal(err)
		}
		dropsAndWarns(t, e, test.off, warned, test.argument)
	}
}

// dropsAndWarns checks that e takes and drops the signals of off and has a
// destination for the others, and that it has said so once.
func dropsAndWarns(t *testing.T, e *Exporter, off [3]pipeline.Signal, warned []string, want string) {
	t.Helper()
	if len(warned) != 1 || !strings.HasPrefix(warned[0], want) || !strings.Contains(warned[0], "dropped and counted") {
		t.Errorf("warnings %q, want one about %s", warned, want)
	}
	for _, s := range flow.Signals() {
		if !slices.Contains(off[:], s) {
			if e.transport.url(s) == "" {
				t.Errorf("%s is switched off", s)
			}
			continue
		}
		if err := e.WriteOTLP(t.Context(), pipeline.OTLP{Signal: s, Data: request(t, s, 1, 1, 1, 1), Items: 1}); err != nil {
			t.Errorf("%s: %v", s, err)
		}
		if to := e.lane(s).writer.Status(); len(to) > 0 {
			t.Errorf("%s is switched off, but goes to %+v", s, to)
		}
	}
}

func TestExporterHintsAtWrongProtocols(t *testing.T) {
	var to sink
	sv := serve(t, all(&to), nil)
	data := request(t, pipeline.SignalTraces, 1, 1, 1, 1)

	toHTTPPort := grpcExporter(t, sv.http, t.TempDir(), nil)
	toHTTPPort.write(t, pipeline.SignalTraces, data, nil)
	eventually(t, "gRPC at an HTTP port draws a hint", func() bool {
		return strings.Contains(toHTTPPort.status(t).LastError, "gRPC port")
	})
	tlsToPlain := grpcExporter(t, sv.grpc, t.TempDir(), func(c *ExporterGRPCConfig) { c.Client.TLS.Insecure = false })
	tlsToPlain.write(t, pipeline.SignalTraces, data, nil)
	eventually(t, "TLS at a plain port shows", func() bool { return tlsToPlain.status(t).LastError != "" })

	toGRPCPort := httpExporter(t, "http://"+sv.grpc, t.TempDir(), nil)
	toGRPCPort.write(t, pipeline.SignalTraces, data, nil)
	eventually(t, "HTTP at a gRPC port draws a hint", func() bool {
		return strings.Contains(toGRPCPort.status(t).LastError, "HTTP port")
	})
}
