package scrape

import (
	"context"
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/httpclient/httpclienttest"
)

func TestTargetsAreReachedWithTheClientsSettings(t *testing.T) {
	httpclienttest.User{Default: httpclient.Default(), Run: func(ctx context.Context, t *testing.T, url string, client httpclient.Config) {
		scheme, address, _ := strings.Cut(url, "://")
		c := config(discovery.NewSet(), newSink())
		c.Targets.Replace([]discovery.Target{at(address)})
		c.Scheme, c.HTTPClient = scheme, client
		c.ScrapeInterval, c.ScrapeTimeout = 200*time.Millisecond, 200*time.Millisecond
		s, err := NewBudget().New(c, component.Options{ID: "prometheus.scrape.test"})
		if err != nil {
			t.Error(err)
			return
		}
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}}.Test(t)
}
