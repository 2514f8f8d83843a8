package write

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/deliver"
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

func TestEndpointsAreSentToAsConfigured(t *testing.T) {
	c := writeConfig("http://loki/push")
	e := &c.Endpoints[0]
	e.BatchWait, e.BatchSize, e.MinBackoff, e.MaxBackoff = 7*time.Second, 77, 3*time.Second, 9*time.Second
	destination := func() deliver.Destination {
		t.Helper()
		w, err := New(writeConfig("http://loki/push"), component.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		all, err := w.destinations(c, []int{0})
		if err != nil || len(all) != 1 {
			t.Fatalf("%v, %v", all, err)
		}
		return all[0]
	}
	d := destination()
	if d.Batch.MaxWait != 7*time.Second || d.Backoff.Min != 3*time.Second || d.Backoff.Max != 9*time.Second {
		t.Errorf("%+v", d)
	}
	e.Name = "named"
	if named := destination(); named.ID == d.ID {
		t.Errorf("an endpoint has the queue %s with a name and without", d.ID)
	}
}
