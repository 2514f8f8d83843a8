package imports

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/graph"
)

// valued is a component that takes one value.
type valued struct {
	Value string `alloy:"value,attr"`
}

func (valued) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// messages are what a controller logs.
type messages struct {
	slog.Handler
	warnings chan string
}

func (m messages) Enabled(context.Context, slog.Level) bool { return true }
func (m messages) WithAttrs([]slog.Attr) slog.Handler       { return m }
func (m messages) WithGroup(string) slog.Handler            { return m }
func (m messages) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		m.warnings <- r.Message
	}
	return nil
}

func controller(dir string) (*graph.Controller, chan string) {
	m := messages{warnings: make(chan string, 100)}
	c := graph.New(graph.Options{
		StoragePath: dir, Logger: slog.New(m),
		Definitions: append(Components(), component.Define("toy", func(c valued, _ component.Options) (valued, error) { return c, nil }, component.Doc{})),
	})
	return c, m.warnings
}

const (
	fits  = `declare "made" { argument "value" { } toy "x" { value = argument.value.value } }`
	unfit = `declare "other" { }`
)

// A module may be right in itself and not fit those who use it.
func TestAModuleThatFitsNobodyEndsAStartAndNothingThatRuns(t *testing.T) {
	url, module := server(t)
	dir := t.TempDir()
	text := func(module string) *string {
		module = strings.NewReplacer("{ argument", "{\nargument", "} toy", "}\ntoy", "} }", "}\n}").Replace(module)
		return &module
	}
	sources := []config.Source{{Name: "config.alloy", Text: []byte(`import.http "m" {
	url     = "` + url + `"
	headers = {"X-Key" = "k"}
}
m.made "a" { value = "v" }
`)}}
	c, errs := controller(dir)
	module.Store(text(fits))
	if err := c.Load(t.Context(), sources); err != nil {
		t.Fatal(err)
	}
	var i *HTTP
	c.Components(func(_ string, found any) {
		if found, ok := found.(*HTTP); ok {
			i = found
		}
	})
	module.Store(text(unfit))
	i.look(t.Context())
	if message := <-errs; !strings.Contains(message, "stays in use") {
		t.Error(message)
	}
	info, ok := c.Component("m.made.a/toy.x")
	imported, _ := c.Component("import.http.m")
	if !ok || info.Health.State != graph.Healthy || imported.Health.State != graph.Unhealthy || !strings.Contains(imported.Health.Message, "m.made") {
		t.Errorf("the component is %+v, the import %+v", info.Health, imported.Health)
	}
	c.Stop(0)

	again, _ := controller(dir)
	err := again.Load(t.Context(), sources)
	if err == nil || !strings.Contains(err.Error(), "config.alloy:5:1") || !strings.Contains(err.Error(), "m.made") {
		t.Errorf("a start with it: %v", err)
	}
	again.Stop(0)

	module.Store(nil) // its server is away
	last, _ := controller(dir)
	if err := last.Load(t.Context(), sources); err != nil {
		t.Errorf("a start without the server, with what was in force: %v", err)
	}
	last.Stop(0)
}
