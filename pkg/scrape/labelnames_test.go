package scrape

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"collector/pkg/component"
	"collector/pkg/discovery"
)

func TestTargetsWithInvalidLabelNamesAreScrapedByTheValidationScheme(t *testing.T) {
	for scheme, want := range map[string]string{
		model.LegacyValidation.String(): `{_2fa="on", __name__="up", instance="a:1", job="prometheus.scrape.test"} 1`,
		model.UTF8Validation.String():   `{"2fa"="on", __name__="up", instance="a:1", job="prometheus.scrape.test"} 1`,
	} {
		synctest.Test(t, func(t *testing.T) {
			to := newSink()
			cfg := config(discovery.NewSet(at("a:1", "2fa", "on")), to)
			cfg.MetricNameValidationScheme = scheme
			var log strings.Builder
			s, stop := run(t, cfg, component.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))},
				roundTrip(func(*http.Request) (*http.Response, error) { return answer("a 1\n"), nil }))
			pass(3 * time.Minute)
			if diff := cmp.Diff([]string{want}, to.last(`"up"`)); diff != "" {
				t.Errorf("%s: up (-want +got):\n%s", scheme, diff)
			}
			targets, _ := cfg.Targets.Targets()
			if id, err := s.explain(targets[0]); id == "" || err != nil {
				t.Errorf("%s: the target is said not to be scraped: %v", scheme, err)
			}
			stop()
			warnings := strings.Count(log.String(), "level=WARN")
			if legacy := scheme == model.LegacyValidation.String(); legacy != (warnings == 1) {
				t.Errorf("%s: %d warnings:\n%s", scheme, warnings, &log)
			}
		})
	}
}
