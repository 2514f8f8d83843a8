package scrape

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/discovery"
)

// A target that has just appeared is scraped within a second, and from then on
// at its own place in each interval.
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var times []time.Time
		set, to := discovery.NewSet(), newSink()
		cfg := config(set, to)
		cfg.ScrapeInterval = 15 * time.Second
		run(t, cfg, component.Options{}, roundTrip(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Now())
			return answer("a 1\n"), nil
		}))
		pass(7 * time.Second)
		appeared := time.Now()
		set.Replace([]discovery.Target{at("a:1")})
		pass(2 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if wait := times[0].Sub(appeared); wait > time.Second {
			t.Errorf("first scrape after %s", wait)
		}
		if wait := times[1].Sub(times[0]); wait < 7*time.Second || wait > 23*time.Second {
			t.Errorf("second scrape %s after the first", wait)
		}
		for i := 2; i < len(times); i++ {
			if d := times[i].Sub(times[i-1]); d != 15*time.Second {
				t.Errorf("scrape %d is %s after the one before", i, d)
			}
		}
		if len(times) < 8 {
			t.Errorf("%d scrapes", len(times))
		}
	})
}

func TestSlowTargetDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var targets []discovery.Target
		for i := range 50 {
			targets = append(targets, at(fmt.Sprintf("fast%d:1", i)), at(fmt.Sprintf("slow%d:1", i)))
		}
		to := newSink()
		cfg := config(discovery.NewSet(targets...), to)
		cfg.ScrapeInterval, cfg.ScrapeTimeout = 10*time.Second, 10*time.Second
		reg := prometheus.NewRegistry()
		run(t, cfg, component.Options{Metrics: reg}, roundTrip(func(r *http.Request) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Host, "slow") {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return answer("a 1\n"), nil
		}))
		pass(101 * time.Second)
		for i := range 50 {
			if n := to.count(fmt.Sprintf(`"up", instance="fast%d:1", job="prometheus.scrape.test"} 1`, i)); n < 10 || n > 12 {
				t.Errorf("fast%d was scraped %d times", i, n)
			}
			if n := to.count(fmt.Sprintf(`"up", instance="slow%d:1", job="prometheus.scrape.test"} 0`, i)); n < 4 {
				t.Errorf("slow%d was reported %d times", i, n)
			}
		}
	})
}

func TestRemovedTargetIsMarkedStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newSink()
		set := discovery.NewSet(at("a:1"), at("b:1"))
		cfg := config(set, to)
		run(t, cfg, component.Options{}, roundTrip(func(*http.Request) (*http.Response, error) { return answer("m 1\nn 2\n"), nil }))
		pass(3 * time.Second)
		set.Replace([]discovery.Target{at("b:1"), at("a:1", discovery.EndedLabel, "true")})
		synctest.Wait()
		got := to.last("")
		if len(got) != 2+plainReports {
			t.Errorf("%d markers: %q", len(got), got)
		}
		for _, line := range got {
			if !strings.Contains(line, `instance="a:1"`) || !strings.HasSuffix(line, " stale") {
				t.Errorf("%s", line)
			}
		}
		if n := to.count(`"b:1", job="prometheus.scrape.test"} stale`); n != 0 {
			t.Errorf("%d markers for the other target", n)
		}
	})
}

// A target that is removed during a scrape reports nothing more, but its series end.
func TestTargetIsRemovedDuringScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newSink()
		set := discovery.NewSet(at("a:1"))
		first, hangs := true, make(chan struct{})
		run(t, config(set, to), component.Options{}, roundTrip(func(r *http.Request) (*http.Response, error) {
			if first {
				first = false
				return answer("m 1\n"), nil
			}
			close(hangs)
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		<-hangs
		set.Replace(nil)
		synctest.Wait()
		if len(to.batches) != 2 {
			t.Fatalf("%q", to.batches)
		}
		if got := to.last("stale"); len(got) != 1+plainReports || len(to.last("")) != len(got) {
			t.Errorf("%q", to.batches)
		}
	})
}

func TestStopWritesNoMarkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newSink()
		_, stop := run(t, config(discovery.NewSet(at("a:1")), to), component.Options{},
			roundTrip(func(*http.Request) (*http.Response, error) { return answer("m 1\n"), nil }))
		pass(2 * time.Second)
		stop()
		if to.count("stale") != 0 || to.count(`"m"`) != 1 {
			t.Errorf("%q", to.batches)
		}
	})
}

// Series end once when the target fails, and continue when it is back.
func TestFailureIsMarkedStaleOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, n := newSink(), 0
		cfg := config(discovery.NewSet(at("a:1")), to)
		cfg.ScrapeInterval = 10 * time.Second
		run(t, cfg, component.Options{}, roundTrip(func(*http.Request) (*http.Response, error) {
			if n++; n == 2 || n == 3 {
				return nil, errors.New("refused")
			}
			return answer("m 1\n"), nil
		}))
		pass(60 * time.Second)
		var got []string
		for _, b := range to.batches[:4] {
			v := ""
			for _, line := range b {
				name := strings.Split(line, `"`)[1]
				if name == "m" || name == "up" || name == "scrape_series_added" {
					v += name + line[strings.LastIndex(line, " "):] + ";"
				}
			}
			got = append(got, v)
		}
		want := []string{"m 1;up 1;scrape_series_added 1;", "m stale;up 0;scrape_series_added 0;", "up 0;scrape_series_added 0;", "m 1;up 1;scrape_series_added 0;"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTargetLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newSink()
		set := discovery.NewSet(at("a:1"), at("b:1"))
		cfg := config(set, to)
		cfg.TargetLimit = 1
		reg := prometheus.NewRegistry()
		run(t, cfg, component.Options{Metrics: reg}, roundTrip(func(*http.Request) (*http.Response, error) { return answer("m 1\n"), nil }))
		pass(2 * time.Second)
		if to.count(`"m"`) != 0 || to.count(`"up"`) != 2 || metric(t, reg, "prometheus_target_scrape_pool_exceeded_target_limit_total") != 1 {
			t.Errorf("%q", to.batches)
		}
		set.Replace([]discovery.Target{at("a:1")})
		pass(2 * time.Minute)
		if to.count(`"m"`) == 0 {
			t.Errorf("not scraped again: %q", to.batches)
		}
	})
}

// A target that gets another address remains the same target.
func TestAddressChangeContinuesSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newSink()
		set := discovery.NewSet(at("a:1", "instance", "i"))
		var hosts []string
		run(t, config(set, to), component.Options{}, roundTrip(func(r *http.Request) (*http.Response, error) {
			hosts = append(hosts, r.URL.Host)
			return answer("m 1\n"), nil
		}))
		pass(2 * time.Second)
		set.Replace([]discovery.Target{at("b:1", "instance", "i")})
		pass(2 * time.Second)
		if diff := cmp.Diff([]string{"a:1", "b:1"}, hosts); diff != "" || to.count("stale") != 0 {
			t.Errorf("%s %q", diff, to.batches)
		}
	})
}

func TestTargetsOfEqualLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, log := newSink(), new(bytes.Buffer)
		set := discovery.NewSet(at("a:1", "instance", "i"), at("b:1", "instance", "i"), at("a:1", "instance", "i"))
		reg := prometheus.NewRegistry()
		run(t, config(set, to), component.Options{Metrics: reg, Logger: slog.New(slog.NewTextHandler(log, nil))},
			roundTrip(func(r *http.Request) (*http.Response, error) {
				return answer("m{host=\"" + r.URL.Host + "\"} 1\n"), nil
			}))
		pass(2 * time.Second)
		// The one that is scraped already is kept, whatever the order.
		set.Replace([]discovery.Target{at("b:1", "instance", "i"), at("a:1", "instance", "i")})
		pass(2 * time.Minute)
		if to.count(`host="a:1"`) < 2 || to.count(`host="b:1"`) != 0 {
			t.Errorf("%q", to.batches)
		}
		if n := strings.Count(log.String(), "same labels"); n != 1 {
			t.Errorf("%d warnings:\n%s", n, log)
		}
		if metric(t, reg, "prometheus_scrape_targets_gauge") != 1 {
			t.Error("the gauge of targets")
		}
	})
}

// A receiver that hangs or fails loses its own samples, which are counted, and nothing
// else.
func TestBadReceivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, failing, hanging := newSink(), newSink(), newSink()
		failing.err, hanging.block = errors.New("no"), true
		cfg := config(discovery.NewSet(at("a:1")), hanging, good, failing)
		cfg.ScrapeInterval = 10 * time.Second
		reg := prometheus.NewRegistry()
		_, stop := run(t, cfg, component.Options{Metrics: reg}, roundTrip(func(*http.Request) (*http.Response, error) { return answer("m 1\n"), nil }))
		pass(65 * time.Second)
		stop()
		n := float64(good.count(""))
		if n < 6*6 || failing.count("") != int(n) {
			t.Errorf("%v and %d samples", n, failing.count(""))
		}
		if got := metric(t, reg, "prometheus_scrape_dropped_samples_total"); got != 2*n {
			t.Errorf("%v dropped, want %v", got, 2*n)
		}
		if got := metric(t, reg, "prometheus_forwarded_samples_total"); got != n {
			t.Errorf("%v forwarded, want %v", got, n)
		}
	})
}

func TestAHangingReceiverDelaysNoStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newSink()
		to.block = true
		_, stop := run(t, config(discovery.NewSet(at("a:1")), to), component.Options{},
			roundTrip(func(*http.Request) (*http.Response, error) { return answer("m 1\n"), nil }))
		pass(2 * time.Second)
		start := time.Now()
		stop()
		if d := time.Since(start); d > shutdownGrace {
			t.Errorf("stopping took %s", d)
		}
	})
}

// What has been fetched when the component stops is still forwarded.
func TestStopForwardsWhatIsFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newSink()
		fetching, stopping := make(chan struct{}), make(chan struct{})
		_, stop := run(t, config(discovery.NewSet(at("a:1")), to), component.Options{},
			roundTrip(func(*http.Request) (*http.Response, error) {
				close(fetching)
				<-stopping
				return answer("m 1\n"), nil
			}))
		<-fetching
		go stop()
		synctest.Wait()
		close(stopping)
		synctest.Wait()
		if to.count(`"m"`) != 1 {
			t.Errorf("%q", to.batches)
		}
	})
}

// A target that used up its timeout while the component stops has failed: that
// is reported, so that a page that was served too late leaves a trace.
func TestStopReportsATargetThatWasLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newSink()
		cfg := config(discovery.NewSet(at("a:1")), to)
		cfg.ScrapeInterval, cfg.ScrapeTimeout = 250*time.Millisecond, 200*time.Millisecond
		fetching := make(chan struct{})
		_, stop := run(t, cfg, component.Options{}, roundTrip(func(r *http.Request) (*http.Response, error) {
			close(fetching)
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		<-fetching
		stop()
		if to.count(`"up", instance="a:1", job="prometheus.scrape.test"} 0`) != 1 {
			t.Errorf("%q", to.batches)
		}
	})
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newSink()
		s, _ := run(t, config(discovery.NewSet(at("a:1", "__meta_x", "y"), at("b:1")), to), component.Options{}, roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "b:1" {
				return nil, errors.New("refused")
			}
			return answer("m 1\n"), nil
		}))
		pass(2 * time.Second)
		text, err := json.Marshal(s.Status())
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Targets []TargetStatus }
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Targets) != 2 {
			t.Fatalf("%s", text)
		}
		a, b := got.Targets[0], got.Targets[1]
		if a.URL != "http://a:1/metrics" || a.Health != "up" || a.Samples != 1 || a.DiscoveredLabels.Get("__meta_x") != "y" || a.Labels.Get("instance") != "a:1" || a.LastScrape.IsZero() {
			t.Errorf("%+v", a)
		}
		if b.Health != "down" || !strings.Contains(b.LastError, "refused") {
			t.Errorf("%+v", b)
		}
	})
}

// Between scrapes a component has one goroutine, however many targets.
func TestIdleTargetsHaveNoGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, to := discovery.NewSet(), newSink()
		run(t, config(set, to), component.Options{}, roundTrip(func(*http.Request) (*http.Response, error) { return answer("m 1\n"), nil }))
		synctest.Wait()
		before := runtime.NumGoroutine()
		var targets []discovery.Target
		for i := range 100 {
			targets = append(targets, at(fmt.Sprintf("a%d:1", i)))
		}
		set.Replace(targets)
		pass(2 * time.Second)
		if to.count(`"m"`) < 100 {
			t.Errorf("%d scrapes", to.count(`"m"`))
		}
		if n := runtime.NumGoroutine() - before; n > 5 {
			t.Errorf("%d goroutines more", n)
		}
	})
}
