package profiles

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/httpclient/httpclienttest"
	"collector/pkg/pipeline"
	"collector/pkg/profiles/profilestest"
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

func TestProfilesAreSentAgainAsSoonAsConfigured(t *testing.T) {
	server := profilestest.NewServer(t)
	var asked atomic.Int64
	server.SetFault(func(*http.Request) *profilestest.Fault {
		asked.Add(1)
		return &profilestest.Fault{Status: http.StatusServiceUnavailable}
	})
	w := run(t, writeConfig(server.URL), t.TempDir()) // with pauses of 1 ms to 10 ms
	profile := pipeline.Profile{
		Route: pipeline.ProfileIngest, Query: "name=a%7Bservice_name%3Da%7D&format=lines", ContentType: "text/plain", Body: []byte("x 1\n"), Items: 1,
	}
	if err := w.WriteProfile(t.Context(), profile); err != nil {
		t.Fatal(err)
	}
	for ctx := deadline(t); asked.Load() < 20; { // which take minutes by default
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("asked %d times", asked.Load())
		}
	}
}
