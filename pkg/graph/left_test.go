package graph

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/component"
)

// A component learns which folders those of its kind have left, and never of one
// that a component in force has, wherever it runs.
func TestOnlyFoldersWithoutAComponentAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage, toys := t.TempDir(), newToys()
		b := bench{t, toys, New(Options{Kinds: toyKinds(), Definitions: toys.definitions(), StoragePath: storage})}
		for _, dir := range []string{
			"toy.logs.a", "toy.logs.old", "toy.logs.other.kind", "toy.samples.old", "m.tailer.a/toy.logs.w", "m.tailer.old/toy.logs.w", "toy_host/toy.logs.x",
		} {
			if err := os.MkdirAll(filepath.Join(storage, dir), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(filepath.Join(storage, "toy.logs.old"), filepath.Join(storage, "toy.logs.link")); err != nil {
			t.Fatal(err)
		}
		const module = `declare "tailer" {
	toy.logs "w" { }
}
`
		left := func(id string, want ...string) (load string) {
			t.Helper()
			var got []string
			toys.get(id).(interface{ options() component.Options }).options().Left(func(dirs []string, l string) {
				for _, dir := range dirs {
					rel, _ := filepath.Rel(storage, dir)
					got = append(got, rel)
				}
				load = l
			})
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s: (-want +got):\n%s", id, d)
			}
			return load
		}
		b.load("import.text \"m\" { text = " + quoted(module) + " }\nm.tailer \"a\" { }\ntoy.logs \"a\" { }\ntoy.logs \"b\" { }\ntoy_host { }\n")
		first := left("toy.logs.a", "m.tailer.old/toy.logs.w", "toy.logs.old")
		if l := left("toy.logs.b", "m.tailer.old/toy.logs.w", "toy.logs.old"); l != first {
			t.Errorf("one load is %s and %s", first, l)
		}
		time.Sleep(time.Second) // in the bubble
		b.load("toy.logs \"b\" { }\ntoy.logs \"c\" { }\n")
		want := []string{"m.tailer.a/toy.logs.w", "m.tailer.old/toy.logs.w", "toy.logs.a", "toy.logs.old", "toy_host/toy.logs.x"}
		if l := left("toy.logs.b", want...); l != first {
			t.Errorf("a component that ran on began with the load %s, then %s", first, l)
		}
		if l := left("toy.logs.c", want...); l == first {
			t.Errorf("two loads are %s", l)
		}
		b.Stop(time.Hour)
		synctest.Wait()
	})
}
