package otlp

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"google.golang.org/grpc/status"

	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

// TestClientsDoNotSeeLocalPaths has a queue fail in each way; the errors that remote
// clients get have no path, and the log has all of it.
func TestClientsDoNotSeeLocalPaths(t *testing.T) {
	const dir = "/var/lib/alloy/data/otelcol.exporter.otlp.tempo/traces"
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 3, 1)
	full := &fs.PathError{Op: "write", Path: dir + "/0000000000000001-00000000.seg", Err: errors.New("no space left on device")}
	for _, cause := range []error{pipeline.ErrFull, pipeline.ErrClosed, full} {
		to := otlptest.Sink{Err: fmt.Errorf("append to queue %q: %w", dir, cause)}
		sv := serve(t, otlptest.All(&to), nil)
		for _, contentType := range []string{wire.TypeProtobuf, wire.TypeJSON} {
			body := data
			if contentType == wire.TypeJSON {
				body = []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}]}`)
			}
			answer, text := post(t, "http://"+sv.http+"/v1/traces", contentType, "", body)
			if answer.StatusCode != 503 || len(text) == 0 || strings.Contains(string(text), "/var/lib") {
				t.Errorf("HTTP, %s: %s %q", contentType, answer.Status, text)
			}
		}
		st := status.Convert(export(t, sv.grpc, pipeline.SignalTraces, data))
		if st.Message() == "" || strings.Contains(st.Message(), "/var/lib") {
			t.Errorf("gRPC: %q", st.Message())
		}
		if !strings.Contains(sv.log.String(), dir) {
			t.Errorf("the log does not name the queue: %s", sv.log)
		}
	}
}
