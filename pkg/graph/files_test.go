package graph

import (
	"testing"

	"collector/pkg/component"
	"collector/pkg/filewatch"
)

func TestComponentsShareTheEventsOfFiles(t *testing.T) {
	toys := newToys()
	given := map[*filewatch.Pool]int{}
	definitions := append(toys.definitions(), component.Define("toy.watching", func(_ struct{}, o component.Options) (*served, error) {
		given[o.WithDefaults().Files]++
		return &served{toys.base(o)}, nil
	}, component.Doc{}))
	c := New(Options{Definitions: definitions, StoragePath: t.TempDir()})
	t.Cleanup(func() { c.Stop(0) })
	if err := c.Load(t.Context(), source(`
		toy.watching "x" { }
		toy.watching "y" { }
		declare "mine" {
			toy.watching "x" { }
		}
		mine "a" { }
	`)); err != nil {
		t.Fatal(err)
	}
	if len(given) != 1 {
		t.Errorf("3 components have %d pools", len(given))
	}
}
