package imports

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"collector/pkg/component"
)

func TestAConstructorStopsAskingWhenNobodyNeedsIt(t *testing.T) {
	for name, make := range map[string]func(url string, o component.Options) error{
		"import.http": func(url string, o component.Options) error {
			c := httpConfig(url)
			c.PollFrequency, c.PollTimeout = 2*time.Hour, time.Hour
			_, err := NewHTTP(c, o)
			return err
		},
		"import.git": func(url string, o component.Options) error {
			var c GitConfig
			c.SetToDefault()
			c.Repository, c.Path = url, "m.alloy"
			_, err := NewGit(c, o)
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			cancel() // while the answer is waited for
			<-r.Context().Done()
		}))
		if err := make(s.URL, component.Options{Dir: t.TempDir(), Context: ctx}); err == nil {
			t.Errorf("%s is made", name)
		}
		s.Close()
	}
}
