package jaeger

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/server"
	"collector/pkg/otlp/translate"
	"collector/pkg/pipeline"
)

// FuzzDecode decodes as the servers do, and checks that nothing stays claimed.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"\x80\x01\x00\x04\x00\x00\x00\x09emitBatch\x00\x00\x00\x01\x0c\x00\x01\x00", "\x82\x81\x01\x09emitBatch\x1c\x00", "\x0f\x00\x02\x0c\x00\x00\x00\x01\x00", "\x0a\x04\x0a\x02\x42\x00"} {
		for kind := range 4 {
			f.Add(kind, []byte(seed))
		}
	}
	var c Config
	c.SetToDefault()
	c.Protocols.ThriftHTTP = new(ThriftHTTP)
	c.Protocols.ThriftHTTP.SetToDefault()
	c.Output.Traces = []pipeline.OTLPSink{otlptest.SinkFunc(func(context.Context, pipeline.OTLP) error { return nil })}
	r, err := New(c, component.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	layout := postSpans()
	f.Fuzz(func(t *testing.T, kind int, data []byte) {
		keep := func(decode func(*listen.Claim) (server.Payload, error)) {
			r.intake.Keep(t.Context(), pipeline.SignalTraces, r.intake.Budget.Claim("fuzz", nil), server.Sender{Transport: udpBinary}, decode)
		}
		switch uint(kind) % 4 {
		case 0:
			keep(func(claim *listen.Claim) (server.Payload, error) { return decodeCall(claim, data, translate.Binary) })
		case 1:
			keep(func(claim *listen.Claim) (server.Payload, error) { return decodeCall(claim, data, translate.Compact) })
		case 2:
			keep(func(claim *listen.Claim) (server.Payload, error) { return decodeProtobuf(layout, claim, data) })
		default:
			w, request := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, path, bytes.NewReader(data))
			request.Header.Set("Content-Type", "application/x-thrift")
			r.http.Handler().ServeHTTP(w, request)
			if w.Code != http.StatusAccepted && w.Code != http.StatusBadRequest && w.Code != http.StatusRequestEntityTooLarge {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		if used := r.intake.Budget.Used(); used != 0 {
			t.Errorf("%d bytes are still claimed", used)
		}
	})
}
