package windows

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/common/model"

	"collector/pkg/component"
	"collector/pkg/discovery"
)

func TestItHasATargetWithoutMetricsAndSaysSoOnce(t *testing.T) {
	var log bytes.Buffer
	e, err := New(Config{}, component.Options{ID: "prometheus.exporter.windows.w", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	targets, _ := e.Exports()["targets"].(*discovery.Set).Targets()
	if len(targets) != 1 || targets[0].Get(model.JobLabel) != "integrations/windows" {
		t.Errorf("targets %v", targets)
	}
	answer := httptest.NewRecorder()
	e.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusNotFound {
		t.Errorf("the page is answered %d", answer.Code)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Run(ctx); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "works on Windows only"); n != 1 {
		t.Errorf("it says so %d times: %s", n, &log)
	}
}
