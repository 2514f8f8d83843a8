// Package uitest is what the tests of the pages have in common: a UI over a real graph of
// toys, an inventory of any number of containers, and checks that hold for every page.
package uitest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/admin/ui"
	"collector/pkg/admin/ui/flow"
	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/graph"
	"collector/pkg/live"
	"collector/pkg/pipeline"
)

// Planted is a secret that no page may show.
const Planted = "hunter2planted"

type toyConfig struct {
	Endpoint string              `alloy:"endpoint,attr,optional"`
	Password component.Secret    `alloy:"password,attr,optional"`
	Values   []map[string]string `alloy:"values,attr,optional"`
	Forward  []pipeline.LogsSink `alloy:"forward_to,attr,optional"`
	Sick     string              `alloy:"sick,attr,optional"`
}

// toy is a component that does nothing but show what it is given.
type toy struct {
	config toyConfig
	began  *sync.WaitGroup
}

func (u *UI) newToy(c toyConfig, o component.Options) (*toy, error) {
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "toy_lines_total", Help: "Lines."})
	counter.Add(1234567)
	o.Metrics.MustRegister(counter)
	return &toy{c, &u.began}, nil
}

func (t *toy) Run(ctx context.Context) error {
	t.began.Done()
	<-ctx.Done()
	return nil
}

func (t *toy) Exports() map[string]any { return map[string]any{"receiver": t} }

func (t *toy) WriteLogs(context.Context, pipeline.Logs) error { return nil }

func (t *toy) Bind() error { t.began.Add(1); return nil }

func (t *toy) Close() { t.began.Done() }

func (t *toy) Status() any { return map[string]string{"URL": t.config.Endpoint} }

func (t *toy) Health() error {
	if t.config.Sick != "" {
		return errors.New(t.config.Sick)
	}
	return nil
}

// UI is a UI over a real graph of toys.
type UI struct {
	*ui.UI
	Graph *graph.Controller
	Next  string // the configuration that a reload finds
	Mux   *http.ServeMux

	began sync.WaitGroup
	hub   live.Hub
}

// New makes a UI over a graph of toys that text configures; change may change its
// options.
func New(t testing.TB, text string, change func(*ui.Options)) *UI {
	t.Helper()
	u := &UI{Next: text}
	u.Graph = graph.New(graph.Options{
		StoragePath: t.TempDir(), Live: &u.hub, Definitions: []component.Definition{component.Define("toy.sink", u.newToy, component.Doc{}), component.Define("toy.source", u.newToy, component.Doc{})},
	})
	t.Cleanup(func() { u.Graph.Stop(0) })
	o := ui.Options{Source: u.Graph, Version: "v9", Reload: u.Load, Live: &u.hub}
	if change != nil {
		change(&o)
	}
	u.UI, u.Mux = ui.New(o), http.NewServeMux()
	u.Register(u.Mux)
	if err := u.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return u
}

// Load returns when all components run.
func (u *UI) Load(ctx context.Context) error {
	defer u.began.Wait()
	return u.Graph.Load(ctx, []config.Source{{Name: "dir/c.alloy", Text: []byte(u.Next)}})
}

// Ask serves a request.
func (u *UI) Ask(method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	u.Mux.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

// Get is the answer to a GET, which has to succeed, and to show no secret.
func Get(t *testing.T, u *UI, path string) string {
	t.Helper()
	w := u.Ask("GET", path)
	if w.Code != http.StatusOK {
		t.Fatalf("%s: status %d: %s", path, w.Code, w.Body)
	}
	if strings.Contains(w.Body.String(), Planted) {
		t.Errorf("%s shows a secret", path)
	}
	return w.Body.String()
}

// Send has a toy send lines to the components behind it.
func (u *UI) Send(t *testing.T, id string, lines ...string) {
	t.Helper()
	logs := pipeline.Logs{Streams: []pipeline.Stream{{Labels: labels.FromStrings("service", "shop")}}}
	for _, line := range lines {
		logs.Streams[0].Entries = append(logs.Streams[0].Entries, pipeline.Entry{Time: time.Now(), Line: line})
	}
	u.Graph.Components(func(name string, c any) {
		if name != id {
			return
		}
		for _, to := range c.(*toy).config.Forward {
			if err := to.WriteLogs(t.Context(), logs); err != nil {
				t.Error(err)
			}
		}
	})
}

// Small is a configuration of a few toys, with secrets in it.
const Small = `// password = "hunter2planted"
toy.source "a" {
	endpoint   = "http://user:hunter2planted@host/<script>alert(1)</script>"
	password   = "hunter2planted"
	values     = [{"__address__" = "x:1", "job" = "j", "api_key" = "hunter2planted"}]
	forward_to = [toy.sink.b.receiver]
}

toy.sink "b" {
	sick = "the <b>disk</b> is full"
}

toy.sink "alone" { }
`

// Rates are fixed ones.
type Rates []flow.EdgeRate

func (r Rates) EdgeRates() []flow.EdgeRate { return r }

// Deliveries are fixed destinations.
type Deliveries []flow.Destination

func (d Deliveries) Destinations() []flow.Destination { return d }

// Forked is a configuration of a source that feeds two sinks.
const Forked = `
toy.source "a" { forward_to = [toy.sink.b.receiver, toy.sink.c.receiver] }
toy.sink "b" { }
toy.sink "c" { }
`
