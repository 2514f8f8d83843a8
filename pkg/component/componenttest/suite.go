// Package componenttest has the suite that every component passes, whatever it does.
//
// It runs the example of each component's page: alone with what the example names,
// with servers that answer everything, ports that the kernel chooses, and files in
// a folder of the test.
package componenttest

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/graph"
	"collector/pkg/reference"
)

// Suite is what is tested, and with what.
type Suite struct {
	// Options is what the program gives to its graph, new with each call: all but
	// the folder and the log.
	Options func() graph.Options
	// Env are the variables that examples read.
	Env map[string]string
	// Server answers what examples ask of servers; nil: with 200 and nothing.
	Server http.Handler
	// Lint lists the metrics that promlint complains of and that keep their names,
	// with the reason.
	Lint map[string]string
	// Defaults lists the names of blocks that cannot work as they are by default,
	// although nothing in them is required, with the reason.
	Defaults map[string]string
}

// Run runs the suite over every component.
func (s Suite) Run(t *testing.T) {
	definitions := s.Options().Definitions
	linted, invalid := map[string]bool{}, map[string]bool{}
	ran := 0
	for _, d := range definitions {
		t.Run(d.Name, func(t *testing.T) {
			ran++
			for name, value := range s.Env {
				t.Setenv(name, value)
			}
			s.documented(t, d)
			s.defaults(t, d, invalid)
			s.lives(t, d, linted)
			s.healthy(t, d)
		})
	}
	if ran < len(definitions) || t.Failed() {
		return // with -run, or without half of the metrics
	}
	for name := range s.Lint {
		if !linted[name] {
			t.Errorf("promlint has nothing against %s: remove it from the list", name)
		}
	}
	for name := range s.Defaults {
		if !invalid[name] {
			t.Errorf("every block %s is valid by default: remove it from the list", name)
		}
	}
}

// documented checks the page, and that its example is a formatted and valid
// configuration of the component.
func (s Suite) documented(t *testing.T, d component.Definition) {
	t.Helper()
	o := s.Options()
	o.StoragePath = t.TempDir()
	if _, err := reference.Page(d, o.Kinds); err != nil {
		t.Error(err)
	}
	example, err := reference.Example(d)
	if err != nil {
		t.Fatal(err)
	}
	source := config.Source{Name: d.Name, Text: []byte(example)}
	problems := slices.DeleteFunc(graph.Check(o, []config.Source{source}), func(d config.Diagnostic) bool {
		return d.Missing // on this machine
	})
	if len(problems) > 0 {
		t.Errorf("the example:\n%s", problems)
	}
	formatted, err := config.Format(source)
	if diff := cmp.Diff(string(formatted), example); err != nil || diff != "" {
		t.Errorf("the example is not formatted (-want +got): %v\n%s", err, diff)
	}
	if !strings.Contains(example, d.Name+" ") {
		t.Error("the example has no such block")
	}
}

// lives makes the components of the example and checks that this starts nothing; then
// runs them twice over the same folder, and checks what they leave.
func (s Suite) lives(t *testing.T, d component.Definition, linted map[string]bool) {
	t.Helper()
	elsewhere := t.TempDir() // where files would be written that nobody asked for
	t.Chdir(elsewhere)
	t.Setenv("TMPDIR", elsewhere)
	example, err := reference.Example(d)
	if err != nil {
		t.Fatal(err)
	}
	stage := newStage(t, s.Server)
	sources := []config.Source{{Name: d.Name, Text: []byte(stage.set(t, example))}}
	storage := t.TempDir()
	given := tree(t, stage.dir)

	before := takeInventory()
	o := s.Options()
	o.StoragePath = storage
	if ds := graph.Check(o, sources); len(ds) > 0 {
		t.Fatalf("%s\n%s", ds, sources[0].Text)
	}
	before.gone(t, "after New")
	if made := tree(t, storage); len(made) > 0 {
		t.Errorf("New has made %q", made)
	}

	for _, run := range []string{"the first run", "the run over what the first one left"} {
		s.once(t, run, storage, sources, linted)
		before.gone(t, "after "+run)
	}
	if diff := cmp.Diff(given, tree(t, stage.dir)); diff != "" {
		t.Errorf("files were written next to those that are read (-before +after):\n%s", diff)
	}
	if made := tree(t, elsewhere); len(made) > 0 {
		t.Errorf("files were written outside of the storage path: %q", made)
	}
}

// once runs the components until all of them do, looks at their metrics, and stops
// them.
func (s Suite) once(t *testing.T, run, storage string, sources []config.Source, linted map[string]bool) {
	t.Helper()
	var log bytes.Buffer
	o := s.Options()
	o.StoragePath = storage
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	c := graph.New(o)
	if err := c.Load(context.Background(), sources); err != nil {
		t.Fatalf("%s: %v", run, err)
	}
	eventually(t, run+" has begun", func() string { return waiting(c) })
	s.lint(t, c, linted)
	eventually(t, run, func() string { return miscounted(c) })
	for _, id := range c.Stop(patience) {
		t.Errorf("%s: %s has not ended with its context", run, id)
	}
	if strings.Contains(log.String(), "component panicked") || strings.Contains(log.String(), "component failed") {
		t.Errorf("%s:\n%s", run, &log)
	}
	ids := map[string]bool{}
	c.Components(func(id string, _ any) { ids[id] = true })
	for _, path := range tree(t, storage) {
		relative, err := filepath.Rel(storage, path)
		if err != nil {
			t.Fatal(err)
		}
		if id, _, _ := strings.Cut(relative, string(os.PathSeparator)); !ids[id] {
			t.Errorf("%s: %s was written, which is below no component's folder", run, relative)
		}
	}
}

// waiting names a component that doesn't run yet.
func waiting(c *graph.Controller) string {
	for _, info := range c.Summary().Components {
		if info.Health.State == graph.Unknown {
			return info.ID + " does not run yet"
		}
	}
	return ""
}
