package graph

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"collector/pkg/config"
)

// For each load, the history says what triggered it, what changed in the files, and which
// components were replaced.
func TestTheHistoryShowsWhatEachLoadDid(t *testing.T) {
	c := New(Options{StoragePath: t.TempDir(), Kinds: toyKinds(), Definitions: newToys().definitions()})
	defer c.Stop(0)
	load := func(by, text string) error {
		ctx := t.Context()
		if by != "" {
			ctx = TriggeredBy(ctx, by)
		}
		return c.Load(ctx, []config.Source{{Name: "c.alloy", Text: []byte(text)}})
	}
	const first = "toy.logs \"w\" { }\ntoy.source \"s\" {\n\thost = \"a\"\n\tforward_to = [toy.logs.w.receiver]\n}\ntoy.targets \"gone\" { }\n"
	second := strings.Replace(strings.Replace(first, `"a"`, `"b"`, 1), "gone", "new", 1)
	if err := load("", first); err != nil {
		t.Fatal(err)
	}
	if err := load("SIGHUP", second); err != nil {
		t.Fatal(err)
	}
	if err := load("HTTP", "toy.nothing \"a\" { }\n"); err == nil {
		t.Fatal("no error")
	}
	got := c.History()
	if len(got) != 3 {
		t.Fatalf("%+v", got)
	}
	if l := got[2]; l.By != "start" || len(l.Files) != 0 || !slices.Equal(l.Added, []string{"toy.logs.w", "toy.source.s", "toy.targets.gone"}) || l.Error != "" {
		t.Errorf("the start: %+v", l)
	}
	l := got[1]
	if l.By != "SIGHUP" || !slices.Equal(l.Rebuilt, []string{"toy.source.s"}) || !slices.Equal(l.Added, []string{"toy.targets.new"}) || !slices.Equal(l.Removed, []string{"toy.targets.gone"}) || l.Kept != 1 {
		t.Errorf("the reload: %+v", l)
	}
	if len(l.Files) != 1 || l.Files[0].Added != 2 || l.Files[0].Removed != 2 {
		t.Errorf("its files: %+v", l.Files)
	}
	if l := got[0]; l.By != "HTTP" || !strings.Contains(l.Error, "toy.nothing") || l.Kept != 3 || len(l.Added) != 0 || len(l.Files) != 1 {
		t.Errorf("the load that failed: %+v", l)
	}
	if s := c.Sources(); len(s) != 1 || string(s[0].Text) != second {
		t.Errorf("in force: %v", s)
	}
}

// What fails repeatedly is one entry, and successful loads are ten at most.
func TestTheHistoryIsBounded(t *testing.T) {
	c := New(Options{StoragePath: t.TempDir(), Kinds: toyKinds(), Definitions: newToys().definitions()})
	defer c.Stop(0)
	for i := range 2 * maxLoadings {
		if err := c.Load(t.Context(), []config.Source{{Name: "c.alloy", Text: []byte(fmt.Sprintf("toy.targets \"t%d\" { }\n", i))}}); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		c.LoadFailed(t.Context(), errors.New("Get \"http://user:hunter2@host/\": no such file"))
	}
	got := c.History()
	if len(got) != maxLoadings || got[0].Times != 5 || strings.Contains(got[0].Error, "hunter2") || !strings.Contains(got[0].Error, "no such file") {
		t.Fatalf("%d loads, the last %+v", len(got), got[0])
	}
	if !slices.Equal(got[1].Added, []string{"toy.targets.t19"}) {
		t.Errorf("the last that succeeded: %+v", got[1])
	}
}

func TestTheHistoryShowsAnExportThatChanged(t *testing.T) {
	inBubble(t, func(b bench) {
		b.load(dynamic)
		for _, v := range []string{"two", "three"} {
			b.toys.get("toy.dynamic.d").(*toyDynamic).set(v)
			b.settle()
		}
		b.toys.get("toy.dynamic.d").(*toyDynamic).set("three") // what it is already
		b.settle()
		got := b.History()
		if len(got) != 2 || got[0].By != "an export of toy.dynamic.d changed" || got[0].Times != 2 || !slices.Equal(got[0].Rebuilt, []string{"toy.source.s"}) || got[0].Kept != 3 {
			t.Errorf("%+v", got)
		}
	})
}
