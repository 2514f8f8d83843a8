package otlphttp

import (
	"context"
	"io"
	"net/http"
	"testing"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/deliver/delivertest"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// tracesSender sends traces.
type tracesSender struct{ h *transport }

func (s tracesSender) Send(ctx context.Context, blocks []queue.Block) (deliver.Result, error) {
	return s.h.Send(ctx, pipeline.SignalTraces, blocks)
}

func (s tracesSender) Split(queue.Block) []queue.Block { return nil }

func TestOTLPIsPushedByHTTP(t *testing.T) {
	for _, encoding := range []string{encodingProto, encodingJSON} {
		delivertest.Push{
			New: func(t *testing.T, url string, headers map[string]string) deliver.Sender {
				var c Config
				c.SetToDefault()
				c.Client.Endpoint, c.Client.Headers, c.Encoding = url, headers, encoding
				h, err := newTransport(c, component.Options{}.WithDefaults())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(h.Close)
				return tracesSender{h}
			},
			Blocks: []queue.Block{{Data: otlptest.Request(t, pipeline.SignalTraces, 1, 1, 5, 1), Items: 5}},
			Acknowledge: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain") // as some do, whatever OTLP says
				_, _ = io.WriteString(w, "{}")
			},
		}.Test(t)
	}
}
