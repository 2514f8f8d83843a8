package harness

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/grafana/pyroscope/api/model/labelset"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"collector/pkg/profiles/profilestest"
)

// Soaking reports whether the long form of tests was asked for (`make soak`).
func Soaking() bool { return os.Getenv("SOAK") != "" }

// For is how long a scenario lasts: short in `make test`, long in `make soak`.
func For(short, long time.Duration) time.Duration {
	if Soaking() {
		return long
	}
	return short
}

// Sender sends items 1, 2, 3 … until it is stopped, retrying each until it is
// acknowledged, as a client has to.
type Sender struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	acked    []int         // in their order
	refused  int           // attempts that were not acknowledged
	slowest  time.Duration // of the attempts that were answered
	lastFail error
}

// StartSender starts to send an item every interval. send gets the item's
// number; nil means that the item was acknowledged.
func StartSender(t testing.TB, interval time.Duration, send func(seq int) error) *Sender {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &Sender{cancel: cancel, done: make(chan struct{})}
	t.Cleanup(func() { s.Stop() })
	go func() {
		defer close(s.done)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for seq := 1; ctx.Err() == nil; seq++ {
			s.until(ctx, seq, send)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	return s
}

// until sends one item until it is acknowledged, or the sender is stopped.
func (s *Sender) until(ctx context.Context, seq int, send func(seq int) error) {
	for {
		begin := time.Now()
		err := send(seq)
		s.mu.Lock()
		s.slowest = max(s.slowest, time.Since(begin))
		if err == nil {
			s.acked = append(s.acked, seq)
		} else {
			s.refused++
			s.lastFail = err
		}
		s.mu.Unlock()
		if err == nil {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

// Stop ends the sending and returns the numbers of the items that were
// acknowledged.
func (s *Sender) Stop() []int {
	s.cancel()
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int(nil), s.acked...)
}

// Refused is how many attempts were not acknowledged so far, and the last error.
func (s *Sender) Refused() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused, s.lastFail
}

// Acked is how many items were acknowledged so far.
func (s *Sender) Acked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acked)
}

// Slowest is the longest that an attempt took so far.
func (s *Sender) Slowest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slowest
}

// SpanSender returns a function that sends a span named "span N" by OTLP over
// gRPC to address, once.
func SpanSender(t testing.TB, address string) func(seq int) error {
	t.Helper()
	// A retry of the client's own could repeat what the collector has accepted. How long
	// an answer takes is measured.
	exporter, err := otlptracegrpc.New(context.Background(), otlptracegrpc.WithEndpoint(address), otlptracegrpc.WithInsecure(), otlptracegrpc.WithTimeout(2*time.Minute),
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: false}))
	if err != nil {
		t.Fatal(err)
	}
	return func(seq int) error {
		made := tracetest.NewInMemoryExporter()
		_, span := trace.NewTracerProvider(trace.WithSyncer(made)).Tracer("load").Start(context.Background(), fmt.Sprintf("span %d", seq))
		span.End()
		return exporter.ExportSpans(context.Background(), made.GetSpans().Snapshots())
	}
}

// SpanNumbers counts, by its number, how often each span of a SpanSender has
// arrived.
func (s *OTLPServer) SpanNumbers() map[int]int {
	out := make(map[int]int)
	for _, request := range s.Traces() {
		for _, rs := range request.Traces().ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					var seq int
					if _, err := fmt.Sscanf(span.Name(), "span %d", &seq); err == nil {
						out[seq]++
					}
				}
			}
		}
	}
	return out
}

// ProfileSender returns a function that pushes a profile with the label seq to
// url/ingest, once.
func ProfileSender(url string) func(seq int) error {
	return func(seq int) error {
		body, contentType := profilestest.Multipart(profilestest.Part{Name: "profile", File: "profile.pprof", Content: profilestest.Pprof(seq)})
		resp, err := http.Post(url+"/ingest?"+ProfileQuery(seq), contentType, bytes.NewReader(body))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s: %s", resp.Status, text)
		}
		return nil
	}
}

// ProfileQuery is the query of profile seq.
func ProfileQuery(seq int) string {
	return url.Values{
		"name": {fmt.Sprintf("backend.cpu{seq=%d}", seq)}, "from": {fmt.Sprint(1700000000 + seq)}, "until": {fmt.Sprint(1700000001 + seq)},
		"format": {"pprof"}, "sampleRate": {"100"}, "spyName": {"gospy"},
	}.Encode()
}

// ProfileNumbers counts, by its number, how often each profile of a
// ProfileSender has arrived.
func ProfileNumbers(s *profilestest.Server) map[int]int {
	out := make(map[int]int)
	for _, r := range s.Requests() {
		query, err := url.ParseQuery(r.Query)
		if err != nil {
			continue
		}
		name, err := labelset.Parse(query.Get("name"))
		if err != nil {
			continue
		}
		var seq int
		if _, err := fmt.Sscan(name.Labels()["seq"], &seq); err == nil {
			out[seq]++
		}
	}
	return out
}

// OnceEach compares what was acknowledged with how often it has arrived: nil
// when each item has arrived exactly once. An item that arrived although it was
// not acknowledged is no mistake: its acknowledgment may have been lost.
func OnceEach(acked []int, arrived map[int]int) error {
	lost, repeated := 0, 0
	for _, seq := range acked {
		switch n := arrived[seq]; {
		case n == 0:
			lost++
		case n > 1:
			repeated++
		}
	}
	if lost > 0 || repeated > 0 {
		return fmt.Errorf("of %d items acknowledged, %d are lost and %d repeated", len(acked), lost, repeated)
	}
	return nil
}
