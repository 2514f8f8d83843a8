package exporter

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"collector/pkg/component"
)

// asked is a collector that does what the test says.
type asked struct {
	do func(to chan<- prometheus.Metric)
}

func up() *prometheus.Desc { return prometheus.NewDesc("toy_up", "", nil, nil) }

func (a *asked) Describe(to chan<- *prometheus.Desc) { to <- up() }
func (a *asked) Collect(to chan<- prometheus.Metric) { a.do(to) }
func answers(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstMetric(up(), prometheus.GaugeValue, 1)
}
func scrape(page http.Handler, timeout string) (int, string) {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", timeout)
	page.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func remote(t *testing.T, r Remote) http.Handler {
	t.Helper()
	r.Program = "toy_exporter"
	page, err := RemotePage(component.Options{UserAgent: "collector/v9"}, r)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestARemotePageHasTheMetricsAndWhatTheyAreOf(t *testing.T) {
	code, body := scrape(remote(t, Remote{Collector: &asked{answers}}), "10")
	if code != http.StatusOK || !strings.Contains(body, "toy_up 1\n") || !strings.Contains(body, `toy_exporter_build_info{`) || !strings.Contains(body, `version="v9"`) {
		t.Errorf("%d %s", code, body)
	}
	if strings.Contains(body, "promhttp") {
		t.Error("metrics of the page are on it")
	}
	page := remote(t, Remote{Collector: &asked{answers}, OwnMetrics: true})
	scrape(page, "10")
	if _, body := scrape(page, "10"); !strings.Contains(body, `promhttp_metric_handler_requests_total{code="200"} 1`) || !strings.Contains(body, "toy_up 1\n") {
		t.Errorf("%s", body)
	}
}

func TestAPanicFailsItsOwnScrapeOnly(t *testing.T) {
	a := &asked{func(to chan<- prometheus.Metric) { answers(to); panic("at the disco") }}
	var last error
	page := remote(t, Remote{Collector: a, Done: func(_ []*dto.MetricFamily, err error) { last = err }})
	if code, body := scrape(page, "10"); code != http.StatusInternalServerError || !strings.Contains(body, "at the disco") || last == nil {
		t.Errorf("%d %s, %v", code, body, last)
	}
	a.do = answers
	if code, body := scrape(page, "10"); code != http.StatusOK || !strings.Contains(body, "toy_up 1\n") || last != nil {
		t.Errorf("afterwards: %d %s, %v", code, body, last)
	}
}

func TestAScrapeThatHangsEndsAtItsTimeoutAndIsNotRepeated(t *testing.T) {
	release, ended := make(chan struct{}), make(chan struct{})
	var times atomic.Int32
	a := &asked{func(to chan<- prometheus.Metric) {
		if times.Add(1) == 1 {
			<-release
			defer close(ended)
		}
		answers(to)
	}}
	page := remote(t, Remote{Collector: a})
	if code, body := scrape(page, "0.01"); code != http.StatusInternalServerError || !strings.Contains(body, "no response") {
		t.Errorf("%d %s", code, body)
	}
	if code, body := scrape(page, "0.01"); code != http.StatusInternalServerError || !strings.Contains(body, "previous scrape") {
		t.Errorf("while it hangs: %d %s", code, body)
	}
	if n := times.Load(); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
	close(release)
	<-ended
	if code, body := scrape(page, "10"); code != http.StatusOK || !strings.Contains(body, "toy_up 1\n") {
		t.Errorf("afterwards: %d %s", code, body)
	}
}

// A metric that is wrong costs the page nothing else.
func TestAWrongMetricOfARemotePageIsSkipped(t *testing.T) {
	a := &asked{func(to chan<- prometheus.Metric) {
		answers(to)
		to <- prometheus.NewInvalidMetric(up(), errors.New("wrong"))
	}}
	if code, body := scrape(remote(t, Remote{Collector: a}), "nonsense"); code != http.StatusOK || !strings.Contains(body, "toy_up 1\n") {
		t.Errorf("%d %s", code, body)
	}
}

func TestAPageOfMetricsThatCollideIsRejected(t *testing.T) {
	same := prometheus.NewGauge(prometheus.GaugeOpts{Name: "toy_exporter_build_info"})
	if _, err := RemotePage(component.Options{}, Remote{Program: "toy_exporter", Collector: same}); err == nil {
		t.Error("it is accepted")
	}
}
