package exportertest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/exporter"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	receiver "collector/pkg/otlp/receiver/otlp"
	"collector/pkg/otlp/receiver/receivertest"
	"collector/pkg/otlp/security"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

// Config is a configuration of an exporter.
type Config interface{ Validate() error }

// Soon makes an exporter retry soon.
func Soon(r *exporter.Retry) {
	r.InitialInterval, r.MaxInterval = 5*time.Millisecond, 50*time.Millisecond
}

// Make checks a configuration, with its blocks, and makes an exporter of it, which is a
// component of that name.
func Make[C any](t *testing.T, name string, c C, dir string, construct func(C, component.Options) (*exporter.Exporter, error), blocks ...Config) Exporter {
	t.Helper()
	for _, b := range blocks {
		if err := b.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	metrics := prometheus.NewRegistry()
	e, err := construct(c, component.Options{ID: name + ".test", Dir: dir, Metrics: metrics, UserAgent: "collector/test"})
	if err != nil {
		t.Fatal(err)
	}
	return Exporter{Exporter: e, Metrics: metrics}
}

// Suite is what every exporter does, by whatever it sends.
type Suite struct {
	// Make makes an exporter, whose queues are in dir. change may change its
	// configuration.
	Make func(t *testing.T, endpoint, dir string, change func(Blocks)) Exporter
	// Endpoint is where the exporter reaches the receiver, by TLS or without.
	Endpoint func(sv receivertest.Receiver, tls bool) string
	// Secure makes the receiver serve TLS there.
	Secure func(c *receiver.Config, tls *security.TLSServer)
}

// Blocks are those that every exporter has in its configuration.
type Blocks struct {
	TLS   *security.TLSClient
	Queue *exporter.SendingQueue
	Retry *exporter.Retry
}

func (s Suite) start(t *testing.T, endpoint string, change func(Blocks)) Exporter {
	t.Helper()
	return s.Make(t, endpoint, t.TempDir(), change).Run(t)
}

func oneSpan(t *testing.T) []byte { return otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1) }

// KeepsTheContractOfSinks runs the suite for sinks.
func (s Suite) KeepsTheContractOfSinks(t *testing.T) {
	to := &otlptest.Gathering{}
	sv := receivertest.Start(t, flow.Output{Traces: []pipeline.OTLPSink{to}}, nil)
	pipelinetest.Sink{
		New: func(t *testing.T, dir string) pipelinetest.Runner {
			return s.Make(t, s.Endpoint(sv, false), dir, nil).Exporter
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			return otlptest.WriteSpan(ctx, r.(*exporter.Exporter), number)
		},
		Serve: to.Serve, Arrived: to.Got, Bad: otlptest.BadSignal,
	}.Test(t)
}

// IsOffWithoutAnEndpoint checks that what comes is dropped and counted where no endpoint
// is named.
func (s Suite) IsOffWithoutAnEndpoint(t *testing.T, endpoints ...string) {
	for _, endpoint := range endpoints {
		e := s.start(t, endpoint, nil)
		e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 3, 1), nil)
		if n := otlptest.Counter(t, e.Metrics, "collector_dropped_items_total", deliver.ReasonNoDestination); n != 3 {
			t.Errorf("%q: %v dropped spans counted, want 3", endpoint, n)
		}
	}
}

// WaitsForTheFilesOfTLS checks that data is kept while a file of the tls block is absent.
func (s Suite) WaitsForTheFilesOfTLS(t *testing.T) {
	server, client := Certified(t)
	pem, err := os.ReadFile(client.TLS.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	late := filepath.Join(t.TempDir(), "late.pem")
	client.TLS.CAFile = late
	var to otlptest.Sink
	sv := receivertest.Start(t, otlptest.All(&to), func(c *receiver.Config) { s.Secure(c, &server) })
	e := s.start(t, s.Endpoint(sv, true), func(b Blocks) { *b.TLS = client })
	e.Write(t, pipeline.SignalTraces, oneSpan(t), nil)
	listentest.Eventually(t, "the error names the argument and the file", func() bool {
		return strings.Contains(e.Delivery(t).LastError, "ca_file: open "+late)
	})
	if err := os.WriteFile(late, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	e.Settled(t)
	to.One(t)
}

// ShowsItsCertificate checks that a server that asks for certificates accepts data from
// clients that have one, and from nobody else.
func (s Suite) ShowsItsCertificate(t *testing.T) {
	server, client := Certified(t)
	var to otlptest.Sink
	sv := receivertest.Start(t, otlptest.All(&to), func(c *receiver.Config) { s.Secure(c, &server) })
	trusted := s.start(t, s.Endpoint(sv, true), func(b Blocks) { *b.TLS = client })
	trusted.Write(t, pipeline.SignalTraces, oneSpan(t), nil)
	trusted.Settled(t)
	to.One(t)

	client.TLS.CertFile, client.TLS.KeyFile = "", ""
	stranger := s.start(t, s.Endpoint(sv, true), func(b Blocks) { *b.TLS = client })
	stranger.Write(t, pipeline.SignalTraces, oneSpan(t), nil)
	listentest.Eventually(t, "a client without certificate is refused", func() bool { return stranger.Delivery(t).LastError != "" })
}

// DeliversWhatWasAcknowledged checks that what fails is sent again, also with neither
// queue nor retries: senders would send again what fails, but have been told that the
// data is stored. With the queue alone, it is dropped.
func (s Suite) DeliversWhatWasAcknowledged(t *testing.T) {
	for _, test := range []struct{ queue, retry, delivered bool }{
		{true, true, true}, {false, false, true}, {false, true, true}, {true, false, false},
	} {
		t.Run(fmt.Sprintf("queue %t, retries %t", test.queue, test.retry), func(t *testing.T) {
			t.Parallel()                // it takes seconds, and no CPU time
			to := &otlptest.Gathering{} // down
			sv := receivertest.Start(t, flow.Output{Traces: []pipeline.OTLPSink{to}}, nil)
			e := s.start(t, s.Endpoint(sv, false), func(b Blocks) { b.Queue.Enabled, b.Retry.Enabled = test.queue, test.retry })
			e.Write(t, pipeline.SignalTraces, oneSpan(t), nil)
			listentest.Eventually(t, "the failure shows", func() bool { return e.Delivery(t).LastError != "" })
			to.Serve(true)
			if d := e.Settled(t); (d.Delivered == 1) != test.delivered || (d.Dropped[deliver.ReasonRetryDisabled] == 1) == test.delivered {
				t.Errorf("delivered %d, dropped %v", d.Delivered, d.Dropped)
			}
		})
	}
}
