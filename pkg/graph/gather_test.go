package graph

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// page is what the controller's metrics look like when they are scraped.
func page(t *testing.T, c *Controller) string {
	t.Helper()
	families, err := c.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestGatherJoinsTheFamiliesOfAllComponents(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(`
toy.samples "a" { }
toy.samples "b" { }`)
		got := page(t, b.Controller)
		want := `# HELP toy_samples_total Samples.
# TYPE toy_samples_total counter
toy_samples_total{component_id="toy.samples.a",component_path="/"} 1
toy_samples_total{component_id="toy.samples.b",component_path="/"} 1
`
		if !strings.HasSuffix(got, want) {
			t.Errorf("got\n%s\nwant it to end in\n%s", got, want)
		}
		b.load(`toy.samples "a" { }`)
		if got := page(t, b.Controller); strings.Contains(got, "toy.samples.b") {
			t.Errorf("metrics of a component that was removed:\n%s", got)
		}
	})
}

func TestGatherOmitsWhatDoesNotFit(t *testing.T) {
	inBubble(t, func(b bench) {
		b.options.Registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "toy_samples_total"}))
		b.load(`toy.samples "a" { }`)
		got := page(t, b.Controller)
		if !strings.Contains(got, "toy_samples_total 0") || strings.Contains(got, "component_id=\"toy.samples.a\"") {
			t.Errorf("got\n%s", got)
		}
	})
}

func TestControllerMetricsHaveAlloysNames(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(`toy.samples "a" { }`)
		b.Load(b.t.Context(), source("{"))
		got := page(t, b.Controller)
		for _, want := range []string{
			`alloy_component_controller_evaluating{controller_id="",controller_path="/"} 0`,
			`alloy_component_controller_running_components{controller_id="",controller_path="/",health_type="healthy"} 1`,
			`alloy_component_controller_running_components{controller_id="",controller_path="/",health_type="unhealthy"} 0`,
			`alloy_component_dependencies_wait_seconds_count{controller_id="",controller_path="/"} 0`,
			`alloy_component_evaluation_queue_size{controller_id="",controller_path="/"} 0`,
			`alloy_component_evaluation_seconds_count{controller_id="",controller_path="/"} 1`,
			`alloy_config_hash{cluster_name="",sha256="`,
			"alloy_config_last_load_success_timestamp_seconds 9.466848e+08",
			"alloy_config_last_load_successful 0",
			"alloy_config_load_failures_total 1",
		} {
			if !strings.Contains(got, "\n"+want) {
				t.Errorf("lacks %s", want)
			}
		}
		if t.Failed() {
			t.Log(got)
		}
	})
}

func TestRunningComponentsAreCountedForEachModule(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(`
declare "outer" {
	declare "inner" {
		toy.samples "a" { }
	}
	inner "x" { }
	toy.samples "b" { }
}
outer "y" { }
foreach "f" {
	collection = [1, 2]
	var        = "n"
	template {
		toy.samples "c" { }
	}
}`)
		got := page(t, b.Controller)
		for _, want := range []string{
			`{controller_id="",controller_path="/",health_type="healthy"} 4`, // outer.y, foreach.f and what is in that
			`{controller_id="outer.y",controller_path="/",health_type="healthy"} 2`,
			`{controller_id="inner.x",controller_path="/outer.y",health_type="healthy"} 1`,
		} {
			if !strings.Contains(got, "\nalloy_component_controller_running_components"+want) {
				t.Errorf("lacks %s:\n%s", want, got)
			}
		}
	})
}

func TestComponentShowsItsStatus(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(pipeline1)
		info, ok := b.Component("toy.source.s")
		if !ok || string(info.Status) != `{"lines":3}` {
			t.Errorf("status = %s", info.Status)
		}
		if _, ok := b.Component("toy.source.none"); ok {
			t.Error("there is a component that nobody declared")
		}
		logs, _ := b.Component("toy.logs.w")
		b.want(logs.ReferencedBy, "toy.source.s")
	})
}

func TestNoMetricHasASecretInALabel(t *testing.T) {
	inBubble(t, func(b bench) {
		gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "toy_up", ConstLabels: prometheus.Labels{"url": "tcp://u:hunter2@h:1/?sig=hunter2&module=x", "z": "kept"}})
		b.options.Registry.MustRegister(gauge)
		for range 2 { // the collector's own labels stay as they are
			got := page(t, b.Controller)
			if strings.Contains(got, "hunter2") || !strings.Contains(got, `toy_up{url="tcp://u:(secret)@h:1/?sig=(secret)&module=x",z="kept"} 0`) {
				t.Errorf("got\n%s", got)
			}
		}
	})
}
