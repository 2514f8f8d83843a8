package otlp

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

// A refusal must not leave its only trace with the client.
func TestEveryRefusalOfARequestIsCountedAndLogged(t *testing.T) {
	for reason, test := range map[string]struct {
		method, path, contentType string
		status                    int
		logged                    string
	}{
		"content_type":   {http.MethodPost, "/v1/traces", "text/xml", http.StatusUnsupportedMediaType, "text/xml"},
		"method":         {http.MethodPut, "/v1/traces", wire.TypeJSON, http.StatusMethodNotAllowed, "PUT"},
		"unwired":        {http.MethodPost, "/v1/logs", wire.TypeJSON, http.StatusNotFound, "is not connected"},
		"wrong_protocol": {http.MethodPost, "/v1/traces", "application/grpc", http.StatusOK, "looks like OTLP/gRPC"},
	} {
		t.Run(reason, func(t *testing.T) {
			var to otlptest.Sink
			sv := serve(t, flow.Output{Traces: []pipeline.OTLPSink{&to}}, nil)
			r, err := http.NewRequest(test.method, "http://"+sv.http+test.path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", test.contentType)
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != test.status {
				t.Errorf("answered %s", answer.Status)
			}
			if n := otlptest.Counter(t, sv.metrics, "otelcol_receiver_refused_requests_total", reason); n != 1 {
				t.Errorf("%v are counted", n)
			}
			if shown := sv.receiver.Receiving(); shown.Refused[reason] != 1 || shown.Last.Reason != reason || !strings.HasPrefix(shown.Last.Client, "127.0.0.1:") || shown.Last.Error == "" {
				t.Errorf("shown as %+v", shown)
			}
			if !strings.Contains(sv.log.String(), test.logged) {
				t.Errorf("%q is not logged: %s", test.logged, sv.log)
			}
		})
	}
}

func TestWhatArrivesAndWhatIsRefusedIsShown(t *testing.T) {
	var full bool
	to := otlptest.SinkFunc(func(context.Context, pipeline.OTLP) error {
		if full {
			return pipeline.ErrFull
		}
		return nil
	})
	sv := serve(t, flow.Output{Traces: []pipeline.OTLPSink{to}}, nil)
	request := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 7, 1)
	if err := export(t, sv.grpc, pipeline.SignalTraces, request); err != nil {
		t.Fatal(err)
	}
	full = true
	if err := export(t, sv.grpc, pipeline.SignalTraces, request); err == nil {
		t.Error("a full queue accepts it")
	}
	if answer, err := http.Post("http://"+sv.http+"/v1/trace", wire.TypeJSON, nil); err == nil {
		answer.Body.Close()
	}
	got := sv.receiver.Receiving()
	if len(got.Signals) != 1 || got.Signals[0].Signal != "traces" || got.Signals[0].Items != 7 || got.Signals[0].Refused != 7 || got.Signals[0].Last.IsZero() {
		t.Errorf("%+v", got.Signals)
	}
	if got.Refused["queue_full"] != 1 || got.Refused["unknown_path"] != 1 || !strings.Contains(got.Last.Error, "/v1/trace: ") || len(got.Listens) != 2 || !strings.HasPrefix(got.Listens[0], "gRPC on ") {
		t.Errorf("%+v", got)
	}
}

func TestRefusalsAtTheGRPCPortAreCounted(t *testing.T) {
	var to otlptest.Sink
	sv := serve(t, flow.Output{Traces: []pipeline.OTLPSink{&to}}, nil)
	if err := export(t, sv.grpc, pipeline.SignalLogs, nil); status.Code(err) != codes.Unimplemented {
		t.Errorf("a signal that is not wired: %v", err)
	}
	if answer, err := http.Post("http://"+sv.grpc+"/v1/traces", wire.TypeJSON, nil); err == nil {
		answer.Body.Close()
	}
	for _, reason := range []string{"unwired", "wrong_protocol"} {
		if n := otlptest.Counter(t, sv.metrics, "otelcol_receiver_refused_requests_total", reason); n != 1 {
			t.Errorf("%s: %v are counted", reason, n)
		}
	}
}
