package remotewrite

import (
	"context"
	"testing"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/httpclient/httpclienttest"
)

func TestEndpointsAreReachedWithTheClientsSettings(t *testing.T) {
	httpclienttest.User{Default: testConfig("http://a").Endpoints[0].Client, Run: func(ctx context.Context, t *testing.T, url string, client httpclient.Config) {
		c := testConfig(url)
		quick(&c)
		c.Endpoints[0].Client = client
		w, err := New(c, component.Options{Dir: t.TempDir()})
		if err != nil {
			t.Error(err)
			return
		}
		go func() {
			if err := w.WriteMetrics(ctx, numbered(0, 1)); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}()
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	}}.Test(t)
}
