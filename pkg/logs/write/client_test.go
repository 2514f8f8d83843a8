package write

import (
	"context"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/httpclient/httpclienttest"
	"collector/pkg/pipeline"
)

func TestLokiIsReachedWithTheClientsSettings(t *testing.T) {
	httpclienttest.User{Default: httpclient.Default(), Run: func(ctx context.Context, t *testing.T, url string, client httpclient.Config) {
		c := writeConfig(url)
		c.Endpoints[0].HTTP = client
		w, err := New(c, component.Options{Dir: t.TempDir()})
		if err != nil {
			t.Error(err)
			return
		}
		go func() {
			entries := pipeline.Logs{Streams: []pipeline.Stream{stream(labels.FromStrings("a", "b"), entriesOf(0, 1)...)}}
			if err := w.WriteLogs(ctx, entries); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}()
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	}}.Test(t)
}
