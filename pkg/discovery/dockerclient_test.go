package discovery

import (
	"context"
	"testing"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/httpclient/httpclienttest"
)

func TestTheEngineIsReachedWithTheClientsSettings(t *testing.T) {
	httpclienttest.User{Default: httpclient.Default(), Run: func(ctx context.Context, t *testing.T, url string, client httpclient.Config) {
		var c DockerConfig
		c.SetToDefault()
		c.Host, c.HTTPClient = url, client
		d, err := NewDocker(c, component.Options{ID: "discovery.docker.test"})
		if err != nil {
			t.Error(err)
			return
		}
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	}}.Test(t)
}
