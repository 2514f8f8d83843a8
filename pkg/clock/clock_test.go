package clock

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"collector/pkg/clock/clocktest"
)

func TestSteppedReadingsMatchAClockThatWasSet(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, -time.Nanosecond, 0, 90 * time.Second, 24 * 365 * time.Hour} {
		now := time.Now()
		set := clocktest.Step(now, by)
		if d := set.Sub(now); d != 0 {
			t.Errorf("%s: the monotonic reading moved by %s", by, d)
		}
		if d := set.Round(0).Sub(now.Round(0)); d != by {
			t.Errorf("%s: the wall reading moved by %s", by, d)
		}
		if d := step(now, set); d != by {
			t.Errorf("%s: taken for a step of %s", by, d)
		}
	}
}

func TestASteadyClockFollowsNoStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		machine := &clocktest.Clock{}
		start, now := time.Now().UnixNano(), steady(machine.Now)
		machine.Set(-time.Hour)
		time.Sleep(time.Minute)
		machine.Set(365 * 24 * time.Hour)
		if d := time.Duration(now().UnixNano() - start); d != time.Minute {
			t.Errorf("%s passed in a minute", d)
		}
	})
}

func TestAStepOfTheClockIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		machine, out := &clocktest.Clock{}, new(bytes.Buffer)
		w := &Watch{Logger: slog.New(slog.NewTextHandler(out, nil)), now: machine.Now}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { w.Run(ctx); close(done) }()
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		expect := func(what string, want ...string) {
			t.Helper()
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if len(want) == 0 && out.Len() > 0 || len(want) > 0 && (len(lines) != 1 || !containsAll(lines[0], want)) {
				t.Errorf("%s: %s", what, out)
			}
			out.Reset()
		}
		for range 100 {
			machine.Set(300 * time.Millisecond) // a clock that is slewed
			pass(lookEvery)
		}
		expect("slewed")
		machine.Set(-time.Minute)
		pass(time.Hour)
		expect("set back", "the system clock was changed", "by=-1m0s")
		machine.Set(365 * 24 * time.Hour)
		pass(lookEvery)
		expect("set forward", "by=8760h0m0s")
		for range 5 {
			machine.Set(10 * time.Second)
			pass(lookEvery)
		}
		expect("set again and again")
		pass(2 * time.Minute)
		machine.Set(-time.Hour)
		pass(lookEvery)
		expect("set once more", "by=-1h0m0s", "suppressed=5")
		cancel()
		<-done
	})
}

func containsAll(s string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}
