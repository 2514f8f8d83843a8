package admin

import (
	"fmt"
	"net/http"
	"strings"

	"collector/pkg/component"
)

// scraped refuses what a scrape asks for besides metrics and health, of the
// collector and of components. A container
// in the host's network has the collector's own address, and says by its labels
// which port and path are scraped there: reload, a profile or the configuration
// would be asked for at each interval, by the collector itself.
func scraped(r *http.Request) error {
	if r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds") == "" || forAnybody(r.URL.Path) || strings.HasPrefix(r.URL.Path, component.HandlersPath) {
		return nil
	}
	return fmt.Errorf("%s is not for scrapes: scrape %s", r.URL.Path, metricsPath)
}
