package profiles

import (
	"context"
	"testing"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/httpclient/httpclienttest"
	"collector/pkg/pipeline"
)

func TestPyroscopeIsReachedWithTheClientsSettings(t *testing.T) {
	httpclienttest.User{Default: httpclient.Default(), Run: func(ctx context.Context, t *testing.T, url string, client httpclient.Config) {
		c := writeConfig(url)
		c.Endpoints[0].HTTP = client
		w, err := NewWrite(c, component.Options{Dir: t.TempDir()})
		if err != nil {
			t.Error(err)
			return
		}
		go func() {
			profile := pipeline.Profile{
				Route: pipeline.ProfileIngest, Query: "name=a%7Bservice_name%3Da%7D&format=lines", ContentType: "text/plain", Body: []byte("x 1\n"), Items: 1,
			}
			if err := w.WriteProfile(ctx, profile); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}()
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	}}.Test(t)
}
