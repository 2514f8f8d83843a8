package ui

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/graph"
	"collector/pkg/live"
	"collector/pkg/pipeline"
)

// planted is what no page may show.
const planted = "hunter2planted"

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

func (u *testUI) newToy(c toyConfig, o component.Options) (*toy, error) {
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

func (t *toy) Exports() map[string]any                        { return map[string]any{"receiver": t} }
func (t *toy) WriteLogs(context.Context, pipeline.Logs) error { return nil }
func (t *toy) Bind() error                                    { t.began.Add(1); return nil }
func (t *toy) Close()                                         { t.began.Done() }
func (t *toy) Status() any                                    { return map[string]string{"URL": t.config.Endpoint} }
func (t *toy) Health() error {
	if t.config.Sick != "" {
		return errors.New(t.config.Sick)
	}
	return nil
}

// testUI is a UI over a real graph of toys.
type testUI struct {
	*UI
	graph *graph.Controller
	next  string // the configuration that a reload finds
	began sync.WaitGroup
	mux   *http.ServeMux
	hub   live.Hub
}

func newTestUI(t testing.TB, text string, change func(*Options)) *testUI {
	t.Helper()
	u := &testUI{next: text}
	u.graph = graph.New(graph.Options{
		StoragePath: t.TempDir(), Live: &u.hub, Definitions: []component.Definition{component.Define("toy.sink", u.newToy, component.Doc{}), component.Define("toy.source", u.newToy, component.Doc{})},
	})
	t.Cleanup(func() { u.graph.Stop(0) })
	o := Options{Source: u.graph, Version: "v9", Reload: u.load, Live: &u.hub}
	if change != nil {
		change(&o)
	}
	u.UI, u.mux = New(o), http.NewServeMux()
	u.Register(u.mux)
	if err := u.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return u
}

// load returns when all components run.
func (u *testUI) load(context.Context) error {
	defer u.began.Wait()
	return u.graph.Load(context.Background(), []config.Source{{Name: "dir/c.alloy", Text: []byte(u.next)}})
}

func (u *testUI) ask(method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	u.mux.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func get(t *testing.T, u *testUI, path string) string {
	t.Helper()
	w := u.ask("GET", path)
	if w.Code != http.StatusOK {
		t.Fatalf("%s: status %d: %s", path, w.Code, w.Body)
	}
	if strings.Contains(w.Body.String(), planted) {
		t.Errorf("%s shows a secret", path)
	}
	return w.Body.String()
}

// checkPage checks what holds for every page: well-formed, nothing inline,
// nothing from elsewhere, and a structure that a screen reader can follow.
func checkPage(t *testing.T, path, page string) {
	t.Helper()
	if !strings.HasPrefix(page, "<!doctype html>") {
		t.Errorf("%s: no doctype", path)
	}
	wellFormed(t, path, page)
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	ids, headings, current := map[string]bool{}, 0, 0
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.DataAtom == atom.Script && n.FirstChild != nil || n.DataAtom == atom.Style {
			t.Errorf("%s: inline <%s>", path, n.Data)
		}
		if n.DataAtom == atom.H1 {
			headings++
		}
		if n.DataAtom == atom.Th && attribute(n, "scope") == "" {
			t.Errorf("%s: a head of a table without scope", path)
		}
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("%s: <%s %s=…>", path, n.Data, a.Key)
			}
			if (a.Key == "href" || a.Key == "src" || a.Key == "action") && (strings.Contains(a.Val, "://") || strings.HasPrefix(a.Val, "//")) {
				t.Errorf("%s: leads to %s", path, a.Val)
			}
			if a.Key == "aria-current" && a.Val == "page" {
				current++
			}
			if a.Key == "id" {
				if ids[a.Val] {
					t.Errorf("%s: the id %s stands twice", path, a.Val)
				}
				ids[a.Val] = true
			}
		}
	}
	if headings != 1 || current > 1 || !ids["main"] {
		t.Errorf("%s: %d h1, %d current entries, main %v", path, headings, current, ids["main"])
	}
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// wellFormed checks that every element that is opened is closed, in order.
func wellFormed(t *testing.T, path, page string) {
	t.Helper()
	void := map[string]bool{"meta": true, "link": true, "input": true, "br": true, "hr": true, "img": true, "wbr": true}
	var open []string
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("%s: not closed: %v", path, open)
			}
			return
		case html.StartTagToken:
			if name, _ := z.TagName(); !void[string(name)] {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				t.Errorf("%s: </%s> closes %v", path, name, open)
				return
			}
			open = open[:len(open)-1]
		}
	}
}
