package scrape

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/clock/clocktest"
	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/pipeline"
)

// timestamps keeps when the samples are said to be from.
type timestamps struct{ seen []int64 }

func (s *timestamps) WriteMetrics(_ context.Context, m pipeline.Metrics) error {
	s.seen = append(s.seen, m.Samples[0].T)
	return nil
}

// Whichever way the machine's clock is set, targets are scraped at their
// interval, and what is scraped has the time that the clock shows then.
func TestAStepOfTheClockDelaysNoScrape(t *testing.T) {
	for _, by := range []time.Duration{-time.Minute, -365 * 24 * time.Hour, time.Hour, 365 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			machine, to := &clocktest.Clock{}, &timestamps{}
			cfg := config(discovery.NewSet(at("a:1")), to)
			cfg.ScrapeInterval = 15 * time.Second
			s, err := NewBudget().New(cfg, component.Options{ID: "prometheus.scrape.test"})
			if err != nil {
				t.Fatal(err)
			}
			var scraped []time.Time
			var shown []int64
			s.now = machine.Now
			s.fetcher.client = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				scraped, shown = append(scraped, time.Now()), append(shown, machine.Now().UnixMilli())
				return answer("a 1\n"), nil
			})}
			start(t, s)
			pass(40 * time.Second)
			before := len(scraped)
			machine.Set(by)
			pass(2 * time.Minute)
			for i := 1; i < len(scraped); i++ {
				// The clock decides on the place in the interval, so that the second
				// scrape, and the second after the step, find another one.
				d, moves := scraped[i].Sub(scraped[i-1]), i == 1 || i == before+1
				if d > 23*time.Second || d < 7*time.Second || !moves && d != 15*time.Second {
					t.Errorf("clock set by %s after %d scrapes: scrape %d is %s after the one before", by, before, i, d)
				}
			}
			if len(scraped) < before+7 {
				t.Errorf("clock set by %s: %d scrapes in two minutes", by, len(scraped)-before)
			}
			if got, want := fmt.Sprint(to.seen), fmt.Sprint(shown); got != want {
				t.Errorf("clock set by %s: samples of %s are said to be of %s", by, want, got)
			}
		})
	}
}

// A target's own timestamps go back with its clock, and no samples are lost until the
// clock is where it was.
func TestOwnTimestampsGoBackWithTheClock(t *testing.T) {
	var h history
	const hour = int64(3600_000)
	read := func(now, own int64) (samples int) {
		page := fmt.Sprintf("a 1 %d\n", own)
		out := &content{}
		r := &reader{settings: &settings{honorTimestamps: true}, rules: &rules{names: model.LegacyValidation, builder: labels.NewBuilder(labels.EmptyLabels())}, out: out, now: now}
		if _, err := h.read(r, []byte(page), textType, false); err != nil {
			t.Fatal(err)
		}
		return len(out.samples)
	}
	for _, step := range []struct {
		now, own int64
		want     int
		what     string
	}{
		{10 * hour, 10 * hour, 1, "first"},
		{10*hour + 60, 10 * hour, 0, "repeated"},
		{10*hour + 60, 10*hour - 1, 0, "older than one before"},
		{9 * hour, 9*hour - 5, 1, "clock set back by an hour"},
		{9*hour + 60, 9*hour - 5, 0, "repeated then"},
		{9*hour + 60, 9*hour - 6, 0, "older then"},
		{9*hour + 60, 9*hour + 50, 1, "newer then"},
	} {
		if got := read(step.now, step.own); got != step.want {
			t.Errorf("%s: %d samples, want %d", step.what, got, step.want)
		}
	}
}
