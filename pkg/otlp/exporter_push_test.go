package otlp

import (
	"io"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/deliver/delivertest"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

func TestOTLPIsPushedByHTTP(t *testing.T) {
	for _, encoding := range []string{encodingProto, encodingJSON} {
		delivertest.Push{
			New: func(t *testing.T, url string, headers map[string]string) deliver.Sender {
				var c ExporterHTTPConfig
				c.SetToDefault()
				c.Client.Endpoint, c.Client.Headers, c.Encoding = url, headers, encoding
				e, err := NewExporterHTTP(c, component.Options{ID: "otelcol.exporter.otlphttp.test", Dir: t.TempDir(), Metrics: prometheus.NewRegistry()})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(e.transport.close)
				return e.transport.sender(e.lane(pipeline.SignalTraces))
			},
			Blocks: []queue.Block{{Data: request(t, pipeline.SignalTraces, 1, 1, 5, 1), Items: 5}},
			Acknowledge: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain") // as some do, whatever OTLP says
				_, _ = io.WriteString(w, "{}")
			},
		}.Test(t)
	}
}
