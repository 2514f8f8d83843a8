// Package httpclienttest has the suite that every component with an HTTP client
// passes: each setting of package httpclient shows its effect in the requests that
// the component sends.
package httpclienttest

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"collector/pkg/httpclient"
)

// User is a component that has an HTTP client.
type User struct {
	// Default is what the component starts from.
	Default httpclient.Config
	// Run sends requests to url, which has no path, with a client of these settings
	// until ctx ends, or returns when it will send no more. Each request that fails
	// is soon followed by another, if the component makes another at all.
	Run func(ctx context.Context, t *testing.T, url string, c httpclient.Config)
}

// Test tests every setting.
func (u User) Test(t *testing.T) {
	shown := map[string]bool{}
	for _, c := range cases() {
		for _, path := range c.arguments {
			shown[path] = true
		}
		t.Run(strings.Join(c.arguments, ", "), func(t *testing.T) {
			r := &running{T: t, user: u, ended: make(chan struct{})}
			c.test(r)
		})
	}
	for _, path := range arguments("", reflect.TypeFor[httpclient.Config]()) {
		if !shown[path] {
			t.Errorf("no test shows the effect of %s", path)
		}
	}
}

// arguments are the paths of what a struct configures.
func arguments(prefix string, of reflect.Type) (paths []string) {
	for i := range of.NumField() {
		words := strings.Split(of.Field(i).Tag.Get("alloy"), ",")
		if slices.Contains(words, "block") {
			paths = append(paths, arguments(prefix+words[0]+" > ", of.Field(i).Type.Elem())...)
		} else {
			paths = append(paths, prefix+words[0])
		}
	}
	return paths
}

// effect shows the effect of some arguments.
type effect struct {
	arguments []string
	test      func(*running)
}

// running is a component that sends, for one case.
type running struct {
	*testing.T
	user  User
	ended chan struct{} // closed when it sends no more
}

// send has the component send to url until the case ends.
func (r *running) send(url string, change func(*httpclient.Config)) {
	r.Helper()
	c := r.user.Default
	change(&c)
	r.TempDir() // before the clean-up below, so that it outlives what Run has there
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(r.ended)
		r.user.Run(ctx, r.T, url, c)
	}()
	r.Cleanup(func() {
		cancel()
		<-r.ended
	})
}

// patience is how long a case waits for what has to come. It is generous, as machines are
// busy.
const patience = time.Minute

// await waits until s has heard what is expected.
func (r *running) await(s *server, what string, is func(heard) bool) {
	r.Helper()
	late := time.After(patience)
	var others []string
	heardIt := func(h heard) bool {
		others = append(others, h.String())
		return is(h)
	}
	for {
		select {
		case h := <-s.heard:
			if heardIt(h) {
				return
			}
		case <-r.ended:
			for len(s.heard) > 0 {
				if heardIt(<-s.heard) {
					return
				}
			}
			r.Fatalf("nothing more is sent, and not heard is %s; but %q", what, others)
		case <-late:
			r.Fatalf("not heard is %s; but %q", what, others)
		}
	}
}

// never checks that none of n requests to s, or of those that there are, is such.
func (r *running) never(s *server, n int, what string, is func(heard) bool) {
	r.Helper()
	late, requests := time.After(patience), 0
	hear := func(h heard) {
		if is(h) {
			r.Fatalf("heard is %s: %s", what, h)
		}
		if h.request != nil {
			requests++
		}
	}
	for requests < n {
		select {
		case h := <-s.heard:
			hear(h)
		case <-r.ended:
			for len(s.heard) > 0 {
				hear(<-s.heard)
			}
			return
		case <-late:
			r.Fatalf("%d requests are heard", requests)
		}
	}
}
