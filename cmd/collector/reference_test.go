package main

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/admin"
	"collector/pkg/component"
	"collector/pkg/logging"
	"collector/pkg/reference"
)

var update = flag.Bool("update", false, "rewrite docs/reference.md and docs/components")

func table() []component.Definition {
	return components(logging.New(io.Discard), &admin.Access{}, nil, nil)
}

func TestReferenceIsUpToDate(t *testing.T) {
	docs := filepath.Join("..", "..", "docs")
	pages := map[string]string{}
	index, err := reference.Index(table(), "components")
	if err != nil {
		t.Fatal(err)
	}
	pages[filepath.Join(docs, "reference.md")] = index
	for _, d := range table() {
		page, err := reference.Page(d, valueKinds())
		if err != nil {
			t.Error(err)
			continue
		}
		pages[filepath.Join(docs, "components", d.Name+".md")] = page
	}
	there, err := filepath.Glob(filepath.Join(docs, "components", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range there {
		if _, ok := pages[path]; ok {
			continue
		}
		if !*update {
			t.Errorf("%s belongs to no component: run `make reference`", path)
		} else if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
	for path, want := range pages {
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is stale: run `make reference` (-want +got):\n%s", path, diff)
		}
	}
}
