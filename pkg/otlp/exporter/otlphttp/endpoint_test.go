package otlphttp

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

func TestAnEndpointThatNothingCanBeSentToIsOff(t *testing.T) {
	for _, test := range []struct {
		client, traces string
		off            []pipeline.Signal // the signals that are
		argument       string
	}{
		{"tempo:4318", "", flow.Signals(), "client/endpoint: "},
		{"<TEMPO>", "", flow.Signals(), "client/endpoint: "},
		{"http://127.0.0.1:1", "<TEMPO>", []pipeline.Signal{pipeline.SignalTraces}, "traces_endpoint: "},
		{"tempo:4318", "http://127.0.0.1:1", []pipeline.Signal{pipeline.SignalMetrics, pipeline.SignalLogs}, "client/endpoint: "},
	} {
		var warned []string
		o := component.Options{Dir: t.TempDir(), Warn: func(name, why string) { warned = append(warned, name+": "+why) }}
		var c Config
		c.SetToDefault()
		c.Client.Endpoint, c.TracesEndpoint = test.client, test.traces
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", test, err)
		}
		e, err := New(c, o)
		if err != nil {
			t.Fatal(err)
		}
		exportertest.DropsAndWarns(t, e, test.off, warned, test.argument)
	}
}

func TestExporterHintsAtWrongProtocols(t *testing.T) {
	var to otlptest.Sink
	sv := receivertest.Start(t, otlptest.All(&to), nil)
	toGRPCPort := start(t, "http://"+sv.GRPC, t.TempDir(), nil)
	toGRPCPort.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
	listentest.Eventually(t, "HTTP at a gRPC port draws a hint", func() bool {
		return strings.Contains(toGRPCPort.Delivery(t).LastError, "HTTP port")
	})
}
