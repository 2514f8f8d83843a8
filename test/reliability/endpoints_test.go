//go:build integration

package reliability

import (
	_ "embed"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/grafana/loki/pkg/push"

	"collector/test/harness"
)

//go:embed endpoints.alloy
var endpointsConfig string

// promptly is how long 99 of 100 items may take to a healthy destination.
const promptly = 5 * time.Second

// TestEndpoints shares an Engine among scenarios about destinations.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	engine := harness.StartEngine(t)
	writer := engine.Run(t, harness.Container{Name: "steady", Args: []string{"-lines=100000000", "-interval=10ms", "-streams=stdout,stderr", "-stay"}})
	t.Run("L22_RetryAfterIsHonored", func(t *testing.T) {
		t.Parallel()
		testRetryAfter(t, engine, writer)
	})
	t.Run("L23_ABlackHoleDelaysNoOther", func(t *testing.T) {
		t.Parallel()
		testBlackHole(t, engine, writer)
	})
	t.Run("M7_ABadItemAffectsNoOther", func(t *testing.T) {
		t.Parallel()
		testPoison(t, engine)
	})
	t.Run("O2_AFullQueueRefuses", func(t *testing.T) {
		t.Parallel()
		testFullQueue(t, engine)
	})
	t.Run("R1_StopsInTimeAndKeepsTheQueue", func(t *testing.T) {
		t.Parallel()
		testShutdown(t, engine)
	})
	t.Run("R4_FindsBackendsThatComeLaterOrMove", func(t *testing.T) {
		t.Parallel()
		testLateBackends(t, engine, writer)
	})
}

// testRetryAfter answers 429 with Retry-After to all that goes to the one
// destination.
func testRetryAfter(t *testing.T, engine *harness.Engine, writer string) {
	r := newIllRig(t, engine, "logs")
	after := 2 * time.Second
	r.Ill.Set(t, harness.Outage{Status: http.StatusTooManyRequests, RetryAfter: after, Body: "ingestion rate limit exceeded"})
	r.Start(t)
	delays := r.watchLines(t)
	harness.Wait(harness.For(11*time.Second, 20*time.Minute))
	attempts := r.Ill.Attempts()
	if len(attempts) < 3 {
		t.Errorf("the destination was asked %d times", len(attempts))
	}
	for i := 1; i < len(attempts); i++ {
		// The collector's clock starts when it has the answer.
		if gap := attempts[i].Sub(attempts[i-1]); gap < after {
			t.Errorf("it was asked again after %s, although it had said %s", gap, after)
		}
	}
	delays.check(t, r.noise.Bound(promptly))
	r.Accounts(t)
	r.Ill.Set(t, harness.Outage{})
	r.settle(t, engine, writer, "logs")
	t.Logf("%d attempts in 429; %s", len(attempts), delays)
}

// testBlackHole drops all packets to the one destination of each signal.
func testBlackHole(t *testing.T, engine *harness.Engine, writer string) {
	r := newIllRig(t, engine, "logs", "metrics", "traces", "profiles")
	for _, f := range r.ills {
		f.Set(t, harness.Outage{BlackHole: true})
	}
	r.Start(t)
	spans := harness.StartAttempts(t, 10*time.Millisecond, r.spanSender(t))
	profiles := harness.StartAttempts(t, 50*time.Millisecond, r.profileSender())
	delays := r.watchLines(t)
	longest := make(map[string]time.Duration)
	deadline := time.Now().Add(harness.For(15*time.Second, 30*time.Minute))
	for time.Now().Before(deadline) {
		harness.Wait(200 * time.Millisecond)
		for _, signal := range r.signals() {
			longest[signal] = max(longest[signal], r.oldest(t, signal, "well"))
		}
	}
	r.getsOn(t, func(a harness.Account) bool {
		return a.Destination == "well" || strings.HasSuffix(a.Component, ".well")
	})
	limit := r.noise.Bound(promptly)
	for signal, age := range longest {
		if age > limit {
			t.Errorf("%s waited %s for a destination that is well, %s are allowed", signal, age, limit)
		}
	}
	delays.check(t, limit)
	if d := spans.Slowest(); d > limit {
		t.Errorf("a client waited %s for an answer to its span", d)
	}
	sentSpans, sentProfiles := spans.Stop(), profiles.Stop()
	harness.Eventually(t, catchUp, func() error { return r.onceEach(t, "traces", 0, sentSpans, r.Traces.SpanNumbers()) })
	harness.Eventually(t, catchUp, func() error {
		return r.onceEach(t, "profiles", 0, sentProfiles, harness.ProfileNumbers(r.Profile))
	})
	scrapes := numbersTo(r.Target.Scrapes())
	harness.Eventually(t, catchUp, func() error { return r.onceEach(t, "metrics", r.failedScrapes(t), scrapes, r.scrapeNumbers(t)) })

	t.Log("the black hole is filled")
	for _, f := range r.ills {
		f.Set(t, harness.Outage{})
	}
	began := time.Now()
	harness.Eventually(t, catchUp, func() error { return r.other.onceEach(t, "traces", 0, sentSpans, r.other.Traces.SpanNumbers()) })
	harness.Eventually(t, catchUp, func() error {
		return r.other.onceEach(t, "profiles", 0, sentProfiles, harness.ProfileNumbers(r.other.Profile))
	})
	harness.Eventually(t, catchUp, func() error {
		return r.other.onceEach(t, "metrics", r.other.failedScrapes(t), scrapes, r.other.scrapeNumbers(t))
	})
	t.Logf("%d spans, %d profiles and %d scrapes arrived there within %s", len(sentSpans), len(sentProfiles), len(scrapes), time.Since(began))
	r.settle(t, engine, writer, "logs")
	t.Log(delays)
}

// illRig is a rig with a second, failing destination for each signal.
type illRig struct {
	*rig
	Ill   *harness.Front
	ills  map[string]*harness.Front
	other *rig
	noise *harness.Noise
}

func newIllRig(t *testing.T, engine *harness.Engine, signals ...string) *illRig {
	t.Helper()
	r := &illRig{ills: make(map[string]*harness.Front), noise: harness.StartNoise(t)}
	// Two backends of each kind, and one collector.
	r.rig = newRig(t, engine, "")
	r.other = newRig(t, engine, "")
	for _, signal := range signals {
		r.ills[signal] = r.other.Fronts[signal]
	}
	r.Ill = r.ills["logs"]
	r.Collector = harness.NewCollector(t, fillTemplate(t, endpointsConfig, r))
	return r
}

// Ills has the fronts of the failing destinations, for the template.
func (r *illRig) Ills() map[string]*harness.Front { return r.other.Fronts }

// oldest is how long the oldest item waits for a destination.
func (r *illRig) oldest(t *testing.T, signal, destination string) time.Duration {
	t.Helper()
	labels := []string{"signal", signal, "destination", destination}
	if signal == "traces" {
		labels = []string{"component_id", "otelcol.exporter.otlp." + destination}
	}
	return time.Duration(r.Metric(t, "collector_oldest_queued_seconds", labels...) * float64(time.Second))
}

// settle stops the collector's log sources, and compares what both destinations have with
// what was written until then.
func (r *illRig) settle(t *testing.T, engine *harness.Engine, writer, signal string) {
	t.Helper()
	// The other one has to get what the healthy one has by now.
	for _, stream := range []string{"stdout", "stderr"} {
		filter := fmt.Sprintf(`{container_id=%q,stream=%q}`, writer, stream)
		well := r.logged(t, filter)
		if len(well) == 0 {
			t.Fatalf("no line of %s has arrived", stream)
		}
		compareLines(t, stream, well, engine.Output(t, writer))
		harness.Eventually(t, catchUp, func() error {
			ill := r.other.logged(t, filter)
			if len(ill) < len(well) {
				return fmt.Errorf("%d of %d lines have arrived", len(ill), len(well))
			}
			compareLines(t, stream, ill, engine.Output(t, writer))
			return nil
		})
		t.Logf("%s: %d lines at both destinations", stream, len(well))
	}
	for _, a := range r.Accounts(t) {
		if a.Dropped > 0 {
			t.Errorf("items were dropped: %+v", a)
		}
	}
	r.Stop(t)
}

// compareLines fails the test unless the lines that have arrived are the first
// ones of the stream that were written, in order, each once.
func compareLines(t *testing.T, stream string, got []harness.LogEntry, written []harness.EngineLine) {
	t.Helper()
	written = slices.DeleteFunc(written, func(l harness.EngineLine) bool { return l.Stream != stream })
	if len(got) > len(written) {
		t.Fatalf("%s: %d lines have arrived, %d were written", stream, len(got), len(written))
	}
	for i := range got {
		if got[i].Line != written[i].Text || !got[i].Time.Equal(written[i].Time) {
			t.Fatalf("%s, line %d: got %s %.80q, want %s %.80q", stream, i+1, got[i].Time, got[i].Line, written[i].Time, written[i].Text)
		}
	}
}

// lineDelays are the times that lines took from being written to arriving.
type lineDelays struct {
	start  time.Time // what was written before does not count
	mu     sync.Mutex
	delays []time.Duration // guarded by mu
}

// watchLines records how long lines take to the healthy destination. What was written
// before the collector started does not count.
func (r *illRig) watchLines(t *testing.T) *lineDelays {
	t.Helper()
	d := &lineDelays{start: time.Now()}
	r.Fronts["logs"].Judge(func(_ *http.Request, body []byte) *harness.Outage {
		d.take(body)
		return nil
	})
	return d
}

// take records the delays of the lines in a request. The backend will report what can't
// be read.
func (d *lineDelays) take(body []byte) {
	now := time.Now()
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		return
	}
	var request push.PushRequest
	if request.Unmarshal(raw) != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range request.Streams {
		for _, e := range s.Entries {
			if e.Timestamp.After(d.start) {
				d.delays = append(d.delays, now.Sub(e.Timestamp))
			}
		}
	}
}

// p99 is the delay that 99 of 100 lines did not have.
func (d *lineDelays) p99() (time.Duration, int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.delays) == 0 {
		return 0, 0
	}
	sorted := slices.Sorted(slices.Values(d.delays))
	return sorted[len(sorted)*99/100], len(sorted)
}

func (d *lineDelays) check(t *testing.T, limit time.Duration) {
	t.Helper()
	if p99, n := d.p99(); n == 0 || p99 > limit {
		t.Errorf("the 99th percentile of the delays of %d lines is %s, %s are allowed", n, p99, limit)
	}
}

func (d *lineDelays) String() string {
	p99, n := d.p99()
	return fmt.Sprintf("99 of 100 of %d lines took at most %s to the destination that was well", n, p99.Round(time.Millisecond))
}
