package self

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
)

func TestThePageHasTheCollectorsMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "collector_toy"}, func() float64 { return 7 }))
	made, err := Definition(registry).New(&Config{}, component.Options{ID: "prometheus.exporter.self.x"})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	made.(interface{ Handler() http.Handler }).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if !strings.Contains(w.Body.String(), "collector_toy 7\n") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
