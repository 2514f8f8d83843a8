//go:build integration

package reliability

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"collector/pkg/docker/dockertest"
	"collector/test/harness"
)

// watchdogPatience is how long a pipeline may make no progress while its destination is
// healthy.
const watchdogPatience = 30 * time.Second

// watchdog records how long each pipeline has made no progress. Only time with a healthy
// destination counts: how long outages last depends on the test and the machine.
type watchdog struct {
	s       *fourSignals
	looked  time.Time
	away    map[string]bool
	counts  map[string]int
	still   map[string]time.Duration
	longest map[string]time.Duration
}

func newWatchdog(s *fourSignals) *watchdog {
	return &watchdog{
		s: s, looked: time.Now(), away: make(map[string]bool), counts: make(map[string]int),
		still: make(map[string]time.Duration), longest: make(map[string]time.Duration),
	}
}

func (w *watchdog) look(t *testing.T) {
	t.Helper()
	passed := time.Since(w.looked)
	w.looked = w.looked.Add(passed)
	for signal, j := range w.s.Journals {
		if !w.away[signal] {
			w.still[signal] += passed
		}
		w.longest[signal] = max(w.longest[signal], w.still[signal])
		if n := j.Count(); n > w.counts[signal] {
			w.counts[signal], w.still[signal] = n, 0
		}
		if w.still[signal] > watchdogPatience {
			t.Fatalf("%s have not got on for %s in which their destination was well", signal, w.still[signal])
		}
	}
}

// startPolling reads the pages that people and Prometheus look at, all the time. What it
// returns stops it, and returns how long the slowest answer took.
func startPolling(t *testing.T, url string) (stop func() (slowest time.Duration, answers int)) {
	t.Helper()
	client := &http.Client{Timeout: 20 * time.Second}
	sender := harness.StartSender(t, 100*time.Millisecond, func(int) error {
		for _, page := range []string{"/metrics", "/-/ready"} {
			resp, err := client.Get(url + page)
			if err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", page, resp.Status)
			}
		}
		return nil
	})
	return func() (time.Duration, int) {
		n := len(sender.Stop())
		return sender.Slowest(), n
	}
}

// TestL24_AWatchdogSeesEveryPipelineMakeProgress makes random destinations unreachable, hanging
// or failing for a few seconds, reloads an edited configuration every second, and starts
// and removes containers, all at once.
func TestL24_AWatchdogSeesEveryPipelineMakeProgress(t *testing.T) {
	t.Parallel()
	daemon := dockertest.New(t)
	s := startFourSignals(t, daemon.Host(), 0)
	fronts := make(map[string]*harness.Front)
	for signal, p := range s.Proxies {
		fronts[signal] = harness.StartFront(t, p.Address)
	}
	configure := func(e edit) {
		config := s.config(t, daemon.Host(), e)
		for signal, p := range s.Proxies {
			config = strings.ReplaceAll(config, p.Address, fronts[signal].Address)
		}
		s.Collector.Configure(t, config)
	}
	var e edit
	configure(e)
	s.Collector.Start(t)
	load := s.startLoad(t)
	stopPolling := startPolling(t, s.Collector.URL)
	dog := newWatchdog(s)
	outages := []harness.Outage{{BlackHole: true}, {BlackHole: true}, {Hang: true}, {Refuse: true}, {Status: http.StatusServiceUnavailable}}
	var containers []string
	printed := 0
	deadline := time.Now().Add(harness.For(25*time.Second, 30*time.Minute))
	for n := 0; time.Now().Before(deadline); n++ {
		if n%3 == 0 {
			dog.look(t)
			for signal, front := range fronts {
				var o harness.Outage // or none
				if dog.away[signal] = rand.IntN(2) == 0; dog.away[signal] {
					o = outages[rand.IntN(len(outages))]
				}
				front.Set(t, o)
			}
		}
		containers = append(containers, daemon.Run(dockertest.Container{Name: fmt.Sprint("writer", n)}))
		for _, id := range containers {
			for range 20 {
				printed++
				daemon.Print(id, "stdout", fmt.Sprintf("line %d\n", printed))
			}
		}
		if len(containers) > 4 {
			daemon.Stop(containers[0])
			containers = containers[1:]
		}
		e.change(n)
		configure(e)
		if status, body := s.Collector.Reload(t); status != http.StatusOK {
			t.Fatalf("reload %d: %d %s", n, status, body)
		}
		for range 10 {
			harness.Wait(100 * time.Millisecond)
			dog.look(t)
		}
		s.Collector.Accounts(t)
	}
	slowest, answers := stopPolling()
	for _, front := range fronts {
		front.Set(t, harness.Outage{})
	}
	s.checkAllArrived(t, printed, load)
	for signal, n := range dog.counts {
		if n == 0 {
			t.Errorf("no request of %s has arrived since", signal)
		}
	}
	t.Logf("%d lines; longest stall by signal %v; %d rounds of pages, the slowest in %s", printed, dog.longest, answers, slowest)
	s.Collector.Stop(t)
}

// checkAllArrived waits until everything that was made has been handled, and checks that
// it has arrived.
func (s *fourSignals) checkAllArrived(t *testing.T, printed int, l load) {
	t.Helper()
	acked := map[string][]int{"traces": l.spans.Stop(), "profiles": l.profiles.Stop()}
	harness.GetsOn(t, 2*watchdogPatience, func() error {
		lines := make(map[string]int)
		for _, entry := range s.Loki.Entries() {
			lines[strings.TrimPrefix(entry.Line, "line ")]++
		}
		if lost := missing(numbersTo(printed), lines); len(lost) > 0 {
			return fmt.Errorf("%d of %d lines are missing", len(lost), printed)
		}
		return nil
	})
	s.drain(t)
	for signal, numbers := range acked {
		v, err := s.Journals[signal].Judge()
		if lost := missing(numbers, v.Arrived); len(lost) > 0 {
			t.Errorf("%s: %d of %d are missing (%v)", signal, len(lost), len(numbers), err)
		}
	}
	for _, a := range s.Collector.Accounts(t) {
		if a.Dropped > 0 {
			t.Errorf("items were dropped: %+v", a)
		}
	}
}
