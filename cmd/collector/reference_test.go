package main

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/admin"
	"collector/pkg/config"
	"collector/pkg/graph"
	"collector/pkg/logging"
)

var update = flag.Bool("update", false, "rewrite docs/reference.md")

func TestReferenceIsUpToDate(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "reference.md")
	want := graph.Reference(components(logging.New(io.Discard), &admin.Access{}))
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/reference.md is stale: run `make reference` (-want +got):\n%s", diff)
	}
}

func TestNotesAreAboutWhatThereIs(t *testing.T) {
	paths := map[string]bool{}
	var walk func(prefix string, arguments []config.Argument)
	walk = func(prefix string, arguments []config.Argument) {
		for _, a := range arguments {
			paths[prefix+a.Name] = true
			walk(prefix+a.Name+" > ", a.Arguments)
		}
	}
	for _, d := range components(logging.New(io.Discard), &admin.Access{}) {
		walk(d.Name+": ", d.Arguments())
	}
	for name, remarks := range notes() {
		for path := range remarks {
			if !paths[name+": "+path] {
				t.Errorf("there is no %s of %s", path, name)
			}
		}
	}
}
