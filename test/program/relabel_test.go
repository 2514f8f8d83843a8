package program

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"collector/pkg/remotewrite/remotewritetest"
	"collector/test/harness"
)

// relabeled scrapes a page of numbered values through prometheus.relabel, to
// the receiver. The rules give every series the label env and drop one.
type relabeled struct {
	*harness.Collector
	to     *remotewritetest.Receiver
	page   string
	broken atomic.Bool // the page fails
	drawn  atomic.Int64
}

func startRelabeled(t *testing.T) *relabeled {
	t.Helper()
	r := &relabeled{to: remotewritetest.New(t, nil)}
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if r.broken.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(w, "number %d\nsecret 1\nother{instance_id=\"a\"} 1\n", r.drawn.Add(1))
	}))
	t.Cleanup(page.Close)
	r.page = strings.TrimPrefix(page.URL, "http://")
	r.Collector = harness.NewCollector(t, r.config("one"))
	r.Start(t)
	return r
}

func (r *relabeled) config(env string) string {
	return fmt.Sprintf(`
		prometheus.scrape "x" {
			targets         = [{"__address__" = %q}]
			scrape_interval = "1s"
			scrape_timeout  = "1s"
			forward_to      = [prometheus.relabel.x.receiver]
		}
		prometheus.relabel "x" {
			forward_to = [prometheus.remote_write.x.receiver]
			rule {
				source_labels = ["__name__"]
				regex         = "secret"
				action        = "drop"
			}
			rule {
				target_label = "env"
				replacement  = %q
			}
			rule {
				regex  = "instance"
				action = "labeldrop"
			}
		}
		prometheus.remote_write "x" { endpoint { url = %q } }
	`, r.page, env, r.to.URL)
}

// numbers are the values of the series number{env}, without stale markers, and
// whether there was one.
func (r *relabeled) numbers(env string) (numbers []int, ended bool) {
	want := labels.FromStrings("__name__", "number", "env", env, "job", "prometheus.scrape.x").String()
	for _, s := range r.to.Samples() {
		switch {
		case s.Series != want:
		case value.IsStaleNaN(s.Value()):
			ended = true
		default:
			numbers = append(numbers, int(s.Value()))
		}
	}
	return numbers, ended
}

func (r *relabeled) await(t *testing.T, env string, n int) {
	t.Helper()
	harness.Eventually(t, 20*time.Second, func() error {
		if got, _ := r.numbers(env); len(got) < n {
			return fmt.Errorf("%d samples with env=%q, want %d", len(got), env, n)
		}
		return nil
	})
}

// cached is the number of series in the cache.
func (r *relabeled) cached(t *testing.T) int {
	return int(r.Metric(t, "alloy_prometheus_relabel_cache_size", "component_id", "prometheus.relabel.x"))
}

func TestAReloadOfRulesRelabelsEverySampleOnce(t *testing.T) {
	r := startRelabeled(t)
	r.await(t, "one", 2)
	const onPage, reports = 3, 5
	if n := r.cached(t); n != onPage+reports {
		t.Errorf("%d series are in the cache, want %d", n, onPage+reports)
	}
	r.Configure(t, strings.Replace(r.config("bad"), `"labeldrop"`, `"Labeldrop"`, 1))
	if code, body := r.Reload(t); code != 400 || !strings.Contains(body, "Labeldrop") {
		t.Errorf("an unknown action: %d %s", code, body)
	}
	r.Configure(t, r.config("two"))
	if code, body := r.Reload(t); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	r.await(t, "two", 2)
	if n := r.cached(t); n != onPage+reports {
		t.Errorf("after the reload, %d series are in the cache, want %d", n, onPage+reports)
	}
	r.Stop(t)
	one, endedOne := r.numbers("one")
	two, endedTwo := r.numbers("two")
	all := slices.Concat(one, two)
	for i, n := range all {
		if n != i+1 {
			t.Fatalf("the samples are %v before the reload and %v after it", one, two)
		}
	}
	// The scrape that the shutdown interrupts is not sent.
	if drawn := int(r.drawn.Load()); len(all) < drawn-2 {
		t.Errorf("%d samples arrived of %d scrapes", len(all), drawn)
	}
	if endedOne || endedTwo {
		t.Error("a reload ends series, though their target goes on")
	}
	for _, s := range r.to.Samples() {
		if strings.Contains(s.Series, "secret") || strings.Contains(s.Series, "instance=") {
			t.Fatalf("the rules let %s pass", s.Series)
		}
	}
}

func TestStaleMarkersEndRelabeledSeries(t *testing.T) {
	r := startRelabeled(t)
	r.await(t, "one", 1)
	r.broken.Store(true)
	harness.Eventually(t, 20*time.Second, func() error {
		if _, ended := r.numbers("one"); !ended {
			return fmt.Errorf("the series goes on though its target fails")
		}
		return nil
	})
	harness.Eventually(t, 10*time.Second, func() error {
		if n := r.cached(t); n != 5 { // those that describe the scrape
			return fmt.Errorf("%d series are in the cache, want 5", n)
		}
		return nil
	})
	r.broken.Store(false)
	before, _ := r.numbers("one")
	r.await(t, "one", len(before)+1)
	r.Stop(t)
}

func TestTheUIShowsWhatPrometheusRelabelMakesOfSeries(t *testing.T) {
	r := startRelabeled(t)
	r.await(t, "one", 1)
	var list struct {
		Items []struct {
			ID, Name  string
			Kept      bool
			DroppedBy int
		}
	}
	read := func(path string, to any) {
		t.Helper()
		code, body := status(t, r.URL+path)
		if code != 200 {
			t.Fatalf("%s: %d %s", path, code, body)
		}
		if err := json.Unmarshal([]byte(body), to); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	read("/api/v1/relabel?component=prometheus.relabel.x", &list)
	dropper, ids := map[string]int{}, map[string]string{}
	for _, in := range list.Items {
		dropper[in.Name], ids[in.Name] = in.DroppedBy, in.ID
	}
	want := map[string]int{"number": 0, "other": 0, "secret": 1, "up": 0}
	maps.DeleteFunc(dropper, func(name string, _ int) bool { return strings.HasPrefix(name, "scrape_") })
	if !maps.Equal(dropper, want) {
		t.Errorf("the series and the rules that drop them: %v, want %v", dropper, want)
	}
	var trace struct {
		Output map[string]string
		Steps  []struct{ Matched bool }
	}
	read("/api/v1/relabel/prometheus.relabel.x/"+ids["number"], &trace)
	if wanted := map[string]string{"__name__": "number", "env": "one", "job": "prometheus.scrape.x"}; !maps.Equal(trace.Output, wanted) || len(trace.Steps) != 3 {
		t.Errorf("the trace: %+v", trace)
	}
	if code, page := status(t, r.URL+"/relabel/prometheus.relabel.x/"+ids["secret"]); code != 200 || !strings.Contains(page, "secret") {
		t.Errorf("the page of a series: %d", code)
	}
	r.Stop(t)
}
