//go:build integration

package reliability

import (
	"context"
	_ "embed"
	"fmt"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"collector/test/harness"
)

//go:embed outages.alloy
var outagesConfig string

// outageLimits of the scenarios L20, M1, O2 and P1.
const (
	outageRSS = 128 << 20
	// behind is how old data may be that waits for a destination which has caught up: the
	// batch, and the last back-off.
	behind = 4 * time.Second
	// resumption is how long it may take until a destination gets another attempt: the
	// longest back-off, a request that hangs, and a batch.
	resumption = 4 * time.Second
)

// outageRun is one run of all outages, and its results.
type outageRun struct {
	*rig
	writers         []string // ids of containers
	spans, profiles *harness.Attempts
	noise           *harness.Noise
	kills           int
	rss             int64
	slowest         map[string]time.Duration // catch-up by signal
	since           map[string]time.Time     // begin of the outage by signal
}

// TestOutages makes the four destinations fail in every possible way, each at another
// time, with one of them healthy now and then, while lines, scrapes, spans and profiles
// keep coming, and kills and restarts the collector in the meantime. The subtests then
// look at the signals.
func TestOutages(t *testing.T) {
	t.Parallel()
	run := &outageRun{rig: newRig(t, harness.StartEngine(t), outagesConfig), slowest: make(map[string]time.Duration), noise: harness.StartNoise(t)}
	run.start(t)
	stage := harness.For(4*time.Second, 12*time.Minute)
	states := append(harness.Outages(), harness.Outage{})
	for k := range states {
		for i, signal := range run.signals() {
			state := states[(k+2*i)%len(states)]
			t.Logf("stage %d: %s: %s", k, signal, state.Name)
			run.set(t, signal, state)
		}
		run.stage(t, k, stage)
	}
	for _, signal := range run.signals() {
		run.set(t, signal, harness.Outage{})
	}
	sentSpans, sentProfiles := run.stop(t)

	t.Run("L20_LogsSurviveEveryOutage", func(t *testing.T) {
		for _, id := range run.writers {
			lines := 0
			harness.Eventually(t, catchUp, func() (err error) {
				lines, err = run.checkLines(t, id)
				return err
			})
			t.Logf("%.12s: %d lines", id, lines)
		}
		run.verdict(t, "logs")
	})
	t.Run("M1_ScrapesSurviveEveryOutage", func(t *testing.T) {
		scrapes := run.Target.Scrapes()
		t.Logf("%d scrapes", scrapes)
		// A scrape in progress when the collector is killed, or stopped, never counted.
		harness.Eventually(t, catchUp, func() error {
			return run.onceEach(t, "metrics", run.kills+2+run.failedScrapes(t), numbersTo(scrapes), run.scrapeNumbers(t))
		})
		run.verdict(t, "metrics")
	})
	t.Run("O2_SpansSurviveEveryOutage", func(t *testing.T) {
		t.Logf("%d spans acknowledged", len(sentSpans))
		harness.Eventually(t, catchUp, func() error {
			return run.onceEach(t, "traces", 0, sentSpans, run.Traces.SpanNumbers())
		})
		run.verdict(t, "traces")
	})
	t.Run("P1_ProfilesSurviveEveryOutage", func(t *testing.T) {
		t.Logf("%d profiles acknowledged, the slowest in %s", len(sentProfiles), run.profiles.Slowest())
		harness.Eventually(t, catchUp, func() error {
			return run.onceEach(t, "profiles", 0, sentProfiles, harness.ProfileNumbers(run.Profile))
		})
		if d := run.profiles.Slowest(); d > run.noise.Bound(time.Second) {
			t.Errorf("a client waited %s for an answer, %s are allowed", d, run.noise.Bound(time.Second))
		}
		run.verdict(t, "profiles")
	})
	t.Logf("at most %d MiB of memory", run.rss>>20)
	if run.rss > outageRSS {
		t.Errorf("the collector took %d MiB, of which %d are allowed", run.rss>>20, outageRSS>>20)
	}
	run.Stop(t)
}

// start starts the containers, the collector and the senders.
func (r *outageRun) start(t *testing.T) {
	t.Helper()
	containers, interval := 4, "4ms" // 1,000 lines a second
	if harness.Soaking() {
		containers, interval = 20, "20ms"
	}
	for i := range containers {
		r.writers = append(r.writers, r.Engine.Run(t, harness.Container{
			Name: fmt.Sprintf("outage-%d", i), Args: []string{"-lines=100000000", "-interval=" + interval, "-sizes=60,500", "-stay"},
		}))
	}
	r.since = make(map[string]time.Time)
	r.Start(t)
	r.spans = harness.StartAttempts(t, harness.For(10*time.Millisecond, 2*time.Millisecond), r.spanSender(t))
	r.profiles = harness.StartAttempts(t, 50*time.Millisecond, r.profileSender())
}

// set changes the state of a signal's destination, and when it ends an outage
// measures how long the backlog takes.
func (r *outageRun) set(t *testing.T, signal string, state harness.Outage) {
	t.Helper()
	r.Fronts[signal].Set(t, state)
	if state != (harness.Outage{}) {
		if r.since[signal].IsZero() {
			r.since[signal] = time.Now()
		}
		return
	}
	began, ended := r.since[signal], time.Now()
	if delete(r.since, signal); began.IsZero() {
		return
	}
	// Ten times as fast as real time, once the destination has recovered.
	limit := ended.Sub(began)/10 + resumption
	harness.Eventually(t, limit+catchUp, func() error {
		if age := r.Metric(t, "collector_oldest_queued_seconds", "signal", signal); age > behind.Seconds() {
			return fmt.Errorf("after an outage of %s, %s that have waited for %.1f s are still to be delivered", ended.Sub(began), signal, age)
		}
		return nil
	})
	took := time.Since(ended)
	limit = r.noise.Bound(limit)
	if r.slowest[signal] = max(r.slowest[signal], took); took > limit {
		t.Errorf("%s were behind for %s after an outage of %s; %s are allowed", signal, took, ended.Sub(began), limit)
	}
}

// stage lets a stage pass, and checks the healthy destinations.
func (r *outageRun) stage(t *testing.T, k int, duration time.Duration) {
	t.Helper()
	pid := r.Pid()
	memory := watchMemory(t, func() int64 { return rssOf(pid) })
	harness.Wait(duration / 2)
	r.rss = max(r.rss, memory())
	switch k {
	case 1, 5: // while no destination is healthy, no request is accepted without an answer
		t.Log("SIGKILL")
		r.Kill()
		r.kills++
		for _, f := range r.Fronts {
			f.Cut()
		}
		r.Start(t)
	case 3:
		t.Log("SIGTERM")
		r.Stop(t)
		r.Start(t)
	}
	harness.Wait(duration / 2)
	r.rss = max(r.rss, r.RSS(t))
	r.getsOn(t, func(a harness.Account) bool {
		_, away := r.since[a.Signal]
		return !away
	})
	r.Accounts(t)
}

// stop ends the load and waits until everything is delivered.
func (r *outageRun) stop(t *testing.T) (spans, profiles []int) {
	t.Helper()
	spans, profiles = r.spans.Stop(), r.profiles.Stop()
	second := 1
	for _, id := range r.writers {
		if err := r.Engine.Client.ContainerStop(context.Background(), id, container.StopOptions{Timeout: &second}); err != nil {
			t.Fatal(err)
		}
	}
	// Scraping continues, so that its queue is never empty for long.
	harness.Eventually(t, catchUp, func() error {
		for _, signal := range []string{"logs", "traces", "profiles"} {
			if a := r.account(t, signal); a.Queued > 0 {
				return fmt.Errorf("%+v", a)
			}
		}
		return nil
	})
	return spans, profiles
}

// verdict checks the accounting of a signal.
func (r *outageRun) verdict(t *testing.T, signal string) {
	t.Helper()
	a := r.account(t, signal)
	t.Logf("%+v; the slowest catch-up took %s", a, r.slowest[signal])
	if a.Dropped > 0 {
		t.Errorf("%v %s were dropped", a.Dropped, signal)
	}
}
