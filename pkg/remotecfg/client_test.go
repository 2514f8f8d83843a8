package remotecfg

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/httpclient/httpclienttest"
)

func TestTheServerIsAskedWithTheClientsSettings(t *testing.T) {
	httpclienttest.User{Default: httpclient.Default(), Run: func(ctx context.Context, t *testing.T, url string, client httpclient.Config) {
		c := config()
		c.URL, c.PollFrequency, c.Client = url, 10*time.Millisecond, client
		r, err := New(c, component.Options{ID: "remotecfg", Dir: filepath.Join(t.TempDir(), "remotecfg")}, "v1", newMetrics(nil))
		if err != nil {
			t.Error(err)
			return
		}
		r.Beside(func(context.Context, []component.ModuleFile) error { return nil }, func() bool { return false })
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	}}.Test(t)
}
