package loadbalancing

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/component"
	"collector/pkg/listen/listentest"
	"collector/pkg/pipeline"
)

// withoutRetries switches retries off, and bounds the queues.
func withoutRetries(c *Config) {
	bounded(c)
	c.Protocol.OTLP.Retry.Enabled = false
}

func bounded(c *Config) {
	c.Protocol.OTLP.Queue.Sizer, c.Protocol.OTLP.Queue.QueueSize = "bytes", 64<<10
}

// large is a request of a span of the trace with the number, of 4 KiB.
func large(t *testing.T, number int) pipeline.OTLP {
	t.Helper()
	r := traces(t, number)
	data, err := r.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	td, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(data)
	if err != nil {
		t.Fatal(err)
	}
	td.ResourceSpans().At(0).Resource().Attributes().PutStr("padding", strings.Repeat("x", 4<<10))
	return pipeline.OTLP{}.With(pipeline.SignalTraces, pipeline.Decoded{Traces: td})
}

// failed waits until the endpoints cannot be looked up, and something was attempted.
func failed(t *testing.T, e *Exporter) {
	t.Helper()
	listentest.Eventually(t, "the failure is shown", func() bool {
		for _, s := range e.Destinations() {
			if s.ID == unresolvedEndpoint && strings.Contains(s.LastError, "no such host") {
				if s.Cause.Text != "The name sampler does not resolve." {
					t.Errorf("the cause is %q", s.Cause.Text)
				}
				return true
			}
		}
		return false
	})
}

func TestWithoutRetriesWhatComesBeforeTheFirstLookupIsKept(t *testing.T) {
	servers, addresses := startServers(t, 1)
	var n names
	n.set(errors.New("no such host"))
	e, _ := running(t, config(withoutRetries), &n, component.Options{Metrics: prometheus.NewRegistry()})
	for i := range 5 {
		if err := e.WriteOTLP(t.Context(), traces(t, i)); err != nil {
			t.Fatal(err)
		}
	}
	failed(t, e)
	n.set(nil, addresses...)
	arrived(t, 5, servers...)
}

// The queue of the endpoint that has taken the place of others has no room for all of
// theirs.
func TestWithoutRetriesWhatWaitsForARemovedEndpointIsKept(t *testing.T) {
	servers, addresses := startServers(t, 2)
	dir := filepath.Join(t.TempDir(), "x")
	for _, s := range servers {
		s.set(true)
	}
	e, stop := running(t, config(func(c *Config) { bounded(c); static(addresses...)(c) }), nil, component.Options{Dir: dir, Metrics: prometheus.NewRegistry()})
	var accepted []int
	for i := range 60 {
		switch err := e.WriteOTLP(t.Context(), large(t, i)); {
		case err == nil:
			accepted = append(accepted, i)
		case !errors.Is(err, pipeline.ErrFull):
			t.Fatal(err)
		}
	}
	stop()
	var n names
	n.set(errors.New("no such host"))
	e, _ = running(t, config(withoutRetries), &n, component.Options{Dir: dir, Metrics: prometheus.NewRegistry()})
	listentest.Eventually(t, "there is no room in the queue for what is moved", func() bool {
		for _, s := range e.Destinations() {
			if s.ID != unresolvedEndpoint && s.LastError != "" {
				return true
			}
		}
		return false
	})
	failed(t, e)
	for _, s := range servers {
		s.set(false)
	}
	n.set(nil, addresses...)
	allArrived(t, accepted, servers...)
}

// A name that could not be looked up is replaced by a list of endpoints.
func TestWhatWaitedForANameGoesToAList(t *testing.T) {
	servers, addresses := startServers(t, 1)
	dir := filepath.Join(t.TempDir(), "x")
	var n names
	n.set(errors.New("no such host"))
	e, stop := running(t, config(nil), &n, component.Options{Dir: dir, Metrics: prometheus.NewRegistry()})
	if err := e.WriteOTLP(t.Context(), traces(t, 0)); err != nil {
		t.Fatal(err)
	}
	failed(t, e)
	stop()
	running(t, config(static(addresses...)), nil, component.Options{Dir: dir, Metrics: prometheus.NewRegistry()})
	arrived(t, 1, servers...)
}

// A request may be sent between the first lookup that succeeds and the end of the exporter
// that has waited for it.
func TestARequestAfterTheFirstLookupStillSaysWhyItWaits(t *testing.T) {
	servers, addresses := startServers(t, 1)
	var n names
	n.set(errors.New("no such host"))
	e, _ := running(t, config(nil), &n, component.Options{Metrics: prometheus.NewRegistry()})
	if err := e.WriteOTLP(t.Context(), traces(t, 0)); err != nil {
		t.Fatal(err)
	}
	failed(t, e)
	n.set(nil, addresses...)
	arrived(t, 1, servers...)
	if _, err := (unresolved{nil, e}).Send(t.Context(), pipeline.SignalTraces, nil); err == nil || err.Error() != "no such host" {
		t.Errorf("got %v", err)
	}
}
