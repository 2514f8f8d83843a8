package admin

import (
	"fmt"
	"net/http"
	"strings"

	"collector/pkg/component"
)

// scraped rejects scrapes of anything but metrics and health, of the collector and of
// components. A container on the host's network has the collector's own address, and
// its labels choose the port and path to scrape: the collector itself would request a
// reload, a profile or the configuration at each interval.
func scraped(r *http.Request) error {
	if r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds") == "" || forAnybody(r.URL.Path) || strings.HasPrefix(r.URL.Path, component.HandlersPath) {
		return nil
	}
	return fmt.Errorf("%s is not for scraping: scrape %s instead", r.URL.Path, metricsPath)
}
