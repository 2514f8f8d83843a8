package scrape

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/pipeline"
)

func seriesPage(name string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s{path=\"/api/v1/items/%d\",code=\"200\"} %d\n", name, i, i)
	}
	return b.String()
}

// deriving derives about as much from a series as remote write.
type deriving struct{}

func (d *deriving) WriteMetrics(m pipeline.Metrics) {
	for _, s := range m.Samples {
		s.Series.Derived(d, func(l labels.Labels) any {
			return &struct {
				labels  []byte
				dropped bool
				window  uint32
			}{labels: l.Bytes(make([]byte, 0, l.ByteSize()+8))}
		})
	}
}

// What pages take is no more than what is counted, whatever they are made of.
func TestWhatPagesTakeIsCounted(t *testing.T) {
	const n = 20_000
	line := func(format string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.ReplaceAll(format, "@", fmt.Sprint(i)))
		}
		return b.String()
	}
	for name, page := range map[string][2]string{
		"short series":      {textType, line("a{b=\"@\"} 1\n")},
		"many labels":       {textType, line("http_requests_total{path=\"/api/v1/items/@\",code=\"200\",method=\"GET\",handler=\"items\",user=\"@\"} 1\n")},
		"long values":       {textType, line("a{b=\"" + strings.Repeat("x", 500) + "@\"} 1\n")},
		"own timestamps":    {textType, line("a{b=\"@\"} 1 1000\n")},
		"nothing but help":  {textType, line("# HELP a@ b\n")},
		"nothing but types": {textType, line("# TYPE a@ counter\n")},
		"comments":          {textType, line("# @\n")},
		"exemplars":         {openMetricsType, line("# TYPE a@ counter\na@_total 1 # {trace_id=\"@\"} 1 1\n") + "# EOF\n"},
	} {
		heap := func() int64 {
			runtime.GC()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		budget := newBudget(1 << 40)
		c := budget.claim(func() {})
		p, sink := newPages(), &deriving{}
		before := heap()
		out := new(content)
		r := &reader{settings: &p.settings, rules: &p.rules, target: p.target, out: out, now: 2000, claim: c}
		if _, err := p.history.read(r, []byte(page[1]), page[0], false); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sink.WriteMetrics(pipeline.Metrics{Samples: out.samples})
		during := c.held + r.owed
		took := heap() - before
		runtime.KeepAlive(out)
		if counted := during; took > counted+counted/5+1<<20 {
			t.Errorf("%s: reading takes %d bytes a line, %d are counted", name, took/n, counted/n)
		}
		out = nil
		r.out = nil
		took = heap() - before
		if counted := p.history.size(); took > counted+counted/5+1<<20 {
			t.Errorf("%s: %d bytes a line are kept, %d are counted", name, took/n, counted/n)
		}
		runtime.KeepAlive(p)
		runtime.KeepAlive(sink)
	}
}

// crowd runs a scraper of these pages by host, with a budget.
type crowd struct {
	*sink
	budget *Budget
	reg    *prometheus.Registry
	set    *discovery.Set
	s      *Scraper

	mu    sync.Mutex
	pages map[string]string
	asked map[string]int
}

func newCrowd(t *testing.T, bytes int64, pages map[string]string) *crowd {
	t.Helper()
	c := &crowd{sink: newSink(), budget: newBudget(bytes), reg: prometheus.NewRegistry(), pages: pages, asked: map[string]int{}, set: discovery.NewSet()}
	cfg := config(c.set, c.sink)
	cfg.ScrapeInterval = 10 * time.Second
	var err error
	if c.s, err = c.budget.New(cfg, component.Options{ID: "prometheus.scrape.test", Metrics: c.reg}); err != nil {
		t.Fatal(err)
	}
	c.s.fetcher.client = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked[r.URL.Host]++
		return answer(c.pages[r.URL.Host]), nil
	})}
	start(t, c.s)
	return c
}

func (c *crowd) have(hosts ...string) {
	var targets []discovery.Target
	for _, h := range hosts {
		targets = append(targets, at(h))
	}
	c.set.Replace(targets)
}

// ups counts the scrapes of a host that succeeded, and those that did not.
func (c *crowd) ups(host string) (good, bad int) {
	text := fmt.Sprintf(`{__name__="up", instance="%s", job="prometheus.scrape.test"} `, host)
	return c.count(text + "1"), c.count(text + "0")
}

func (c *crowd) used() int64 {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	return c.budget.used
}

// A target that exposes more than there is memory for fails, says so, and is counted; the
// others are scraped as if it were not there.
func TestATargetBeyondTheMemoryAffectsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const max = 8 << 20
		c := newCrowd(t, max, map[string]string{"small1:1": seriesPage("m", 100), "small2:1": seriesPage("m", 100), "middle:1": seriesPage("m", 2000), "huge:1": seriesPage("huge", 60_000)})
		c.have("small1:1", "huge:1", "small2:1", "middle:1")
		pass(4 * time.Minute)
		for host, want := range map[string]bool{"small1:1": true, "small2:1": true, "middle:1": true, "huge:1": false} {
			good, bad := c.ups(host)
			if want && (bad > 0 || good < 20) || !want && (good > 0 || bad < 20) {
				t.Errorf("%s: %d good scrapes, %d bad ones", host, good, bad)
			}
		}
		if n := c.count(`"huge"`); n != 0 {
			t.Errorf("%d samples of a page that was not read whole", n)
		}
		// A target that would be refused again is not scraped at each interval.
		if n := c.asked["huge:1"]; n > 3 {
			t.Errorf("the page was fetched %d times", n)
		}
		for _, st := range c.s.TargetStatus() {
			if huge := strings.Contains(st.URL, "huge"); huge != strings.Contains(st.LastError, "memory") || huge && !strings.Contains(st.LastError, "8MiB") {
				t.Errorf("%s: %q", st.URL, st.LastError)
			}
		}
		if n := failures(t, c.reg, "memory"); n < 20 {
			t.Errorf("%v failures are counted", n)
		}
		if used := c.used(); used > max {
			t.Errorf("%d bytes are used", used)
		}
		// It is read once it fits.
		c.mu.Lock()
		c.pages["huge:1"] = seriesPage("huge", 10)
		c.mu.Unlock()
		pass(refusedFor + time.Minute)
		if good, _ := c.ups("huge:1"); good == 0 {
			t.Error("a page that fits is not read again")
		}
		c.have()
		pass(time.Minute)
		if used := c.used(); used != 0 || len(c.budget.claims) != 0 {
			t.Errorf("%d bytes are used without targets", used)
		}
	})
}

// When there is no room for a new target, the largest makes room: its series end, and the
// reason is shown.
func TestTheLargestTargetMakesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pages := map[string]string{"large:1": seriesPage("large", 10_000)}
		hosts := []string{"large:1"}
		for i := range 40 {
			hosts = append(hosts, fmt.Sprintf("new%d:1", i))
			pages[hosts[i+1]] = seriesPage("m", 400)
		}
		c := newCrowd(t, 12<<20, pages)
		c.have("large:1")
		pass(time.Minute)
		if good, bad := c.ups("large:1"); good < 5 || bad > 0 {
			t.Fatalf("the large target does not fit: %d good scrapes, %d bad ones", good, bad)
		}
		c.have(hosts...)
		pass(2 * time.Minute)
		for _, host := range hosts[1:] {
			if good, bad := c.ups(host); good < 10 || bad > 0 {
				t.Errorf("%s: %d good scrapes, %d bad ones", host, good, bad)
			}
		}
		if _, bad := c.ups("large:1"); bad < 5 {
			t.Errorf("the large target failed %d times", bad)
		}
		if n := c.count(`"/api/v1/items/77"`); n == 0 || c.count(`{__name__="large", code="200", instance="large:1", job="prometheus.scrape.test", path="/api/v1/items/77"} stale`) != 1 {
			t.Errorf("its series did not end")
		}
	})
}

// failures is how many scrapes failed for a reason.
func failures(t *testing.T, reg *prometheus.Registry, reason string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "prometheus_scrape_failures_total" && m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
