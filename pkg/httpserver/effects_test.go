package httpserver_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"collector/pkg/component"
	"collector/pkg/httpserver"
	"collector/pkg/httpserver/httpservertest"
)

func TestEverySettingHasItsEffect(t *testing.T) {
	httpservertest.User{Path: "/", Start: func(t *testing.T, c httpserver.Config) string {
		s, err := httpserver.New(c, httpserver.Options{
			Component: component.Options{}.WithDefaults(), Shutdown: httpserver.DefaultShutdown, Receives: "tests", Metrics: "test",
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Bind(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			ended <- s.Run(ctx, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
		}()
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		return s.Address()
	}}.Test(t)
}
