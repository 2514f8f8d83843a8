//go:build integration

package reliability

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"collector/test/harness"
)

// soon is how long a destination that is back may wait for its data.
const soon = 5 * time.Second

// catchUp is how long a test waits for what is in progress to arrive. Nothing is promised
// about it.
const catchUp = 2 * time.Minute

// arrival is a way in which destinations appear.
type arrival struct {
	name    string
	outage  harness.Outage
	unnamed bool // their names do not resolve before
}

// testLateBackends starts the collector before its destinations, which it knows
// by name, and moves them to other addresses later on.
func testLateBackends(t *testing.T, engine *harness.Engine, writer string) {
	names := harness.StartNames(t)
	// Alloy's back-off would pause this long after a longer outage.
	config := patient(strings.ReplaceAll(outagesConfig, `"/.*"`, `"/steady"`))
	for _, change := range [][2]string{
		{`"100ms"`, `"3s"`}, {`max_backoff_period  = "1s"`, `max_backoff_period = "5m"`}, {`max_backoff = "1s"`, `max_backoff = "5m"`},
		{`max_interval     = "1s"`, `max_interval = "5m"`},
	} {
		config = strings.ReplaceAll(config, change[0], change[1])
	}
	r := &namedRig{rig: newRig(t, engine, ""), ports: make(map[string]string), fronts: make(map[string]*harness.Front), noise: harness.StartNoise(t)}
	for signal, f := range r.Fronts {
		_, r.ports[signal], _ = net.SplitHostPort(f.Address)
	}
	config = strings.ReplaceAll(config, "{{(index .Fronts ", "{{(.Named ")
	r.Collector = harness.NewCollector(t, fillTemplate(t, config, r))
	r.UseNames(t, names)
	for signal, f := range r.Fronts {
		f.Set(t, harness.Outage{Refuse: true})
		r.fronts[signal] = f
	}
	r.Start(t)
	r.spans = harness.StartAttempts(t, 20*time.Millisecond, r.spanSender(t))
	r.profiles = harness.StartAttempts(t, 100*time.Millisecond, r.profileSender())

	for _, a := range []arrival{
		{name: "the name does not resolve yet", unnamed: true},
		{name: "the backend refuses connections", outage: harness.Outage{Refuse: true}},
		{name: "the backend is black-holed", outage: harness.Outage{BlackHole: true}},
	} {
		r.arrive(t, names, a)
	}
	r.move(t, names)
	sentSpans, sentProfiles := r.spans.Stop(), r.profiles.Stop()
	harness.Eventually(t, catchUp, func() error { return r.onceEach(t, "traces", 0, sentSpans, r.Traces.SpanNumbers()) })
	harness.Eventually(t, catchUp, func() error { return r.onceEach(t, "profiles", 0, sentProfiles, harness.ProfileNumbers(r.Profile)) })
	for _, a := range r.Accounts(t) {
		if a.Dropped > 0 {
			t.Errorf("items were dropped: %+v", a)
		}
	}
	for _, stream := range []string{"stdout", "stderr"} {
		compareLines(t, stream, r.logged(t, fmt.Sprintf(`{container_id=%q,stream=%q}`, writer, stream)), engine.Output(t, writer))
	}
	r.Stop(t)
}

// namedRig is a rig whose destinations are known by name.
type namedRig struct {
	*rig
	ports           map[string]string         // by signal
	fronts          map[string]*harness.Front // those that the names lead to, by signal
	noise           *harness.Noise
	spans, profiles *harness.Attempts
}

// named has the Address of a front, for the template.
type named struct{ Address string }

// Named is a destination by its name.
func (r *namedRig) Named(signal string) named {
	return named{net.JoinHostPort(nameOf(signal), r.ports[signal])}
}

func nameOf(signal string) string { return signal + ".backend.test" }

// arrive keeps the destinations away for a while, and then measures how long
// each takes to be used.
func (r *namedRig) arrive(t *testing.T, names *harness.Names, a arrival) {
	t.Helper()
	for signal, f := range r.fronts {
		f.Set(t, a.outage)
		host, _, _ := net.SplitHostPort(f.Address)
		if a.unnamed {
			host = ""
		}
		names.Set(nameOf(signal), host)
	}
	// Long enough for a growing back-off to exceed the promise.
	harness.Wait(harness.For(11*time.Second, 10*time.Minute))
	for signal, f := range r.fronts {
		f.Set(t, harness.Outage{})
		host, _, _ := net.SplitHostPort(f.Address)
		names.Set(nameOf(signal), host)
	}
	r.used(t, a.name)
}

// move moves the destinations to other addresses, with no answer at the old ones.
func (r *namedRig) move(t *testing.T, names *harness.Names) {
	t.Helper()
	targets := map[string]string{
		"metrics": frontTarget(t, r.Metrics.URL), "logs": frontTarget(t, r.Logs.URL),
		"traces": r.Traces.Address, "profiles": frontTarget(t, r.Profile.URL),
	}
	r.moved = make(map[string]*harness.Front)
	for signal, old := range r.fronts {
		old.Set(t, harness.Outage{Refuse: true})
		r.moved[signal] = harness.StartFrontOn(t, r.ports[signal], targets[signal])
		host, _, _ := net.SplitHostPort(r.moved[signal].Address)
		names.Set(nameOf(signal), host)
	}
	r.fronts = r.moved
	r.used(t, "the backend has another address")
}

// used fails the test unless each destination is tried soon, and gets everything that has
// waited for it.
func (r *namedRig) used(t *testing.T, what string) {
	t.Helper()
	r.noise.Restart()
	began := time.Now()
	asked := make(map[string]time.Duration)
	harness.Eventually(t, catchUp, func() error {
		for _, signal := range r.signals() {
			for _, attempt := range r.fronts[signal].Attempts() {
				if asked[signal] == 0 && attempt.After(began) {
					asked[signal] = attempt.Sub(began)
				}
			}
			if age := r.Metric(t, "collector_oldest_queued_seconds", "signal", signal); age >= time.Since(began).Seconds() {
				return fmt.Errorf("%s: %s still wait; asked were %v", what, signal, asked)
			}
		}
		if len(asked) < len(r.signals()) {
			return fmt.Errorf("%s: only %v were asked", what, asked)
		}
		return nil
	})
	limit := r.noise.Bound(soon)
	t.Logf("%s: asked after %v, %s allowed; all had what waited after %s", what, asked, limit, time.Since(began))
	for signal, d := range asked {
		if d > limit {
			t.Errorf("%s: %s waited %s for their destination, which was there", what, signal, d)
		}
	}
}
