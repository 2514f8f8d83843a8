package static

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"collector/pkg/exporters/exporter/exportertest"
)

const text = "text = `# TYPE shop_open gauge\nshop_open{town=\"Ulm\"} 1\n# TYPE sold_total counter\nsold_total 7\n`"

func TestTheTextIsThePage(t *testing.T) {
	e := exportertest.New(t, Definition(), text)
	code, page := e.Page()
	if code != 200 || !page.Has(`shop_open{town="Ulm"} 1`) || !page.Has("# TYPE sold_total counter") || !page.Has("sold_total 7") {
		t.Errorf("%d %s", code, page)
	}
	if target := e.Targets()[0]; target["instance"] != "prometheus.exporter.static.x" || target["job"] != "integrations/static" {
		t.Errorf("the target is %v", target)
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	e.Component.(interface{ Handler() http.Handler }).Handler().ServeHTTP(w, r)
	if body := w.Body.String(); !strings.Contains(w.Header().Get("Content-Type"), "openmetrics") || !strings.HasSuffix(body, "# EOF\n") {
		t.Errorf("%s\n%s", w.Header(), body)
	}
}

func TestWrongTextIsRejected(t *testing.T) {
	exportertest.RefusesArguments(t, Definition(), map[string]string{
		"text = `shop_open{ 1`": "read metrics in Prometheus's text format",
		"text = `a.b 1\n`":      "read metrics",
	})
}

func FuzzText(f *testing.F) {
	f.Add("a 1\n# TYPE b histogram\nb_bucket{le=\"+Inf\"} 1\nb_sum 1\nb_count 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := Config{Text: text}
		families, err := c.families()
		if (c.Validate() == nil) != (err == nil) {
			t.Errorf("Validate and New do not agree: %v", err)
		}
		for i := 1; i < len(families); i++ {
			if families[i-1].GetName() >= families[i].GetName() {
				t.Errorf("%s before %s", families[i-1].GetName(), families[i].GetName())
			}
		}
	})
}
