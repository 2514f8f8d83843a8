package graph

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"collector/pkg/component"
)

type served struct{ base }

func (s *served) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s.o.ID) })
}

func TestTheHandlerOfAComponentIsFoundByItsID(t *testing.T) {
	toys := newToys()
	definitions := append(toys.definitions(), component.Define("toy.served", func(_ struct{}, o component.Options) (*served, error) {
		return &served{toys.base(o)}, nil
	}, component.Doc{}))
	c := New(Options{Definitions: definitions, StoragePath: t.TempDir()})
	t.Cleanup(func() { c.Stop(0) })
	if err := c.Load(t.Context(), source(`
		toy.served "x" { }
		toy.logs "mute" { }
		declare "mine" {
			toy.served "x" { }
		}
		mine "a" { }
	`)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][2]string{
		"toy.served.x/metrics":       {"toy.served.x", "/metrics"},
		"toy.served.x/a/b":           {"toy.served.x", "/a/b"},
		"toy.served.x":               {"toy.served.x", ""},
		"mine.a/toy.served.x/metric": {"mine.a/toy.served.x", "/metric"},
	} {
		h, rest := c.Handler(path)
		if h == nil {
			t.Errorf("%s leads nowhere", path)
			continue
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if got := [2]string{w.Body.String(), rest}; got != want {
			t.Errorf("%s leads to %q, want %q", path, got, want)
		}
	}
	for _, path := range []string{"", "/", "toy.logs.mute/metrics", "mine.a/metrics", "toy.served.y/metrics", "toy.served.xy"} {
		if h, _ := c.Handler(path); h != nil {
			t.Errorf("%q leads somewhere", path)
		}
	}
}
