package exporter

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/discovery"
)

func targetOf(t *testing.T, e *Exporter) map[string]string {
	t.Helper()
	targets, _ := e.Exports()["targets"].(*discovery.Set).Targets()
	if len(targets) != 1 {
		t.Fatalf("%d targets", len(targets))
	}
	return targets[0].Map()
}

func TestTheTargetMatchesAlloys(t *testing.T) {
	for id, want := range map[string]map[string]string{
		"prometheus.exporter.toy.x": {
			"__address__": "alloy.internal:12345", "__scheme__": "http", "__metrics_path__": "/api/v0/component/prometheus.exporter.toy.x/metrics",
			"__meta_component_name": "prometheus.exporter.toy", "__meta_component_id": "prometheus.exporter.toy.x",
			"job": "integrations/toy", "instance": "here",
		},
		"mine.a/prometheus.exporter.toy.x": {
			"__address__": "alloy.internal:12345", "__scheme__": "http", "__metrics_path__": "/api/v0/component/mine.a/prometheus.exporter.toy.x/metrics",
			"__meta_component_name": "mine.a/prometheus.exporter.toy", "__meta_component_id": "mine.a/prometheus.exporter.toy.x",
			"job": "integrations/toy", "instance": "here",
		},
	} {
		e := New(component.Options{ID: id}, "toy", "here", http.NotFoundHandler())
		if diff := cmp.Diff(want, targetOf(t, e)); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
}

func TestOneBrokenMetricCostsThePageNothingElse(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "good"}, func() float64 { return 7 }), broken{})
	w := httptest.NewRecorder()
	New(component.Options{}, "toy", "here", Page(component.Options{}, registry, nil)).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "good 7\n") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

type broken struct{}

func (broken) Describe(chan<- *prometheus.Desc) {}
func (broken) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.NewInvalidMetric(prometheus.NewDesc("bad", "", nil, nil), http.ErrAbortHandler)
}

func TestRunEndsWithItsContextAndCanRunAgain(t *testing.T) {
	e := New(component.Options{}, "toy", "here", http.NotFoundHandler())
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestTheInstanceIsTheHostsName(t *testing.T) {
	t.Setenv("HOSTNAME", "given")
	if got := Host(); got != "given" {
		t.Errorf("%q, though HOSTNAME is set", got)
	}
	t.Setenv("HOSTNAME", "")
	if got := Host(); got == "" || got == "given" {
		t.Errorf("%q, without HOSTNAME", got)
	}
}
