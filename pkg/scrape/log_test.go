package scrape

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"collector/pkg/component"
	"collector/pkg/discovery"
)

// A message about one dead target does not suppress those about others.
func TestEachDeadTargetIsNamedInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(bytes.Buffer)
		cfg := config(discovery.NewSet(at("dead1:1"), at("dead2:1"), at("dead3:1"), at("fine:1"), at("flaps:1")), newSink())
		cfg.ScrapeInterval = 10 * time.Second
		n := 0
		run(t, cfg, component.Options{Logger: slog.New(slog.NewTextHandler(log, nil))}, roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "flaps:1" {
				n++
			}
			if r.URL.Host == "fine:1" || r.URL.Host == "flaps:1" && n%2 == 0 {
				return answer("m 1\n"), nil
			}
			return nil, errors.New("refused")
		}))
		pass(5 * time.Minute)
		for host, want := range map[string][2]int{"dead1": {1, 1}, "dead2": {1, 1}, "dead3": {1, 1}, "fine": {0, 0}, "flaps": {2, 5}} {
			if n := strings.Count(log.String(), fmt.Sprintf(`"scrape failed" target=http://%s:1/metrics`, host)); n < want[0] || n > want[1] {
				t.Errorf("%s is named %d times in\n%s", host, n, log)
			}
		}
	})
}
