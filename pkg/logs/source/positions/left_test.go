package positions

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// openAfter opens a store beside folders that were left.
func openAfter(t *testing.T, dir, load string, left ...string) *Store {
	t.Helper()
	counter := func() prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "c", Help: "c"})
	}
	s, err := Open(dir, Options{
		Logger: slog.New(slog.DiscardHandler), Damaged: counter(), Failed: counter(), Other: "other",
		Left: func(f func([]string, string)) { f(left, load) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// leave makes the positions of a component that no longer exists.
func leave(t *testing.T, dir string, values map[string]string) {
	t.Helper()
	s := open(t, dir)
	s.Put(values)
	s.Close()
}

func TestARenamedComponentContinues(t *testing.T) {
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	leave(t, at("a"), map[string]string{"1": "x", "both": "a", "same": "s"})
	leave(t, at("b"), map[string]string{"2": "y", "both": "b", "same": "s"})
	want := map[string]string{"1": "x", "2": "y", "same": "s"}

	// Both components of one load get everything except what has no known owner.
	s := openAfter(t, at("a2"), "1", at("a"), at("b"), at("none"))
	if s.Fresh() {
		t.Error("a store that has taken over positions is fresh")
	}
	expect(t, s, want)
	expect(t, openAfter(t, at("b2"), "1", at("a"), at("b")), want)
	// They are stored, and nothing is removed.
	s.Close()
	expect(t, openAfter(t, at("a2"), "1"), want)
	expect(t, open(t, at("a")), map[string]string{"1": "x", "both": "a", "same": "s"})

	// A later one gets what was not taken over, and what was stored since by one that came back.
	fresh := openAfter(t, at("c"), "2", at("b"))
	if !fresh.Fresh() {
		t.Error("it got positions that others have continued from")
	}
	expect(t, fresh, map[string]string{})
	leave(t, at("b"), map[string]string{"3": "z"})
	expect(t, openAfter(t, at("d"), "3", at("b")), map[string]string{"2": "y", "both": "b", "same": "s", "3": "z"})
}

// What a component took over beside its own, and another one reads, does not count as its
// own when both are renamed again.
func TestAComponentRenamedRepeatedlyContinues(t *testing.T) {
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	leave(t, at("a1"), map[string]string{"a": "1", "quiet": "q"})
	leave(t, at("b1"), map[string]string{"b": "1"})
	want := map[string]string{"a": "1", "b": "1", "quiet": "q"}
	for load, names := range [][2]string{{"1", "2"}, {"2", "3"}, {"3", "4"}} {
		left := []string{at("a" + names[0]), at("b" + names[0])}
		var stores []*Store
		for _, name := range []string{"a", "b"} {
			s := openAfter(t, at(name+names[1]), names[1], left...)
			expect(t, s, want)
			stores = append(stores, s)
		}
		for i, name := range []string{"a", "b"} {
			value := string(rune('x' + load))
			stores[i].Put(map[string]string{name: value})
			stores[i].Close()
			want[name] = value
		}
	}
}

func TestPositionsAreNotTakenOverFromOrByOthers(t *testing.T) {
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	running := open(t, at("running"))
	defer running.Close()
	running.Put(map[string]string{"1": "x"})
	expect(t, openAfter(t, at("a"), "1", at("running")), map[string]string{})
	if _, err := os.Lstat(filepath.Join(at("running"), takenName)); err == nil {
		t.Error("the positions of a component that runs count as taken over")
	}

	leave(t, at("left"), map[string]string{"1": "x"})
	leave(t, at("own"), map[string]string{"2": "y"})
	expect(t, openAfter(t, at("own"), "1", at("left")), map[string]string{"2": "y"})
	if err := os.Mkdir(at("alloy"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at("alloy"), "other"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, openAfter(t, at("alloy"), "1", at("left")), map[string]string{})

	old := time.Now().Add(-keepLeft - time.Hour)
	if err := os.Chtimes(filepath.Join(at("left"), fileName), old, old); err != nil {
		t.Fatal(err)
	}
	expect(t, openAfter(t, at("b"), "1", at("left")), map[string]string{})
}

// Under its old name, a component continues where it was under the new ones, whether
// it was renamed once or twice in between.
func TestAComponentThatGetsItsOldNameBackContinues(t *testing.T) {
	for name, between := range map[string][]string{"once": {"b"}, "twice": {"b", "c"}} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			at := func(name string) string { return filepath.Join(root, name) }
			leave(t, at("a"), map[string]string{"read": "1", "quiet": "q", "removed": "r"})
			left := []string{at("a")}
			for i, name := range between {
				s := openAfter(t, at(name), name, left...)
				s.Put(map[string]string{"read": name, name: "new"})
				if i == 0 {
					s.Delete("removed")
				}
				s.Close()
				left = append(left, at(name))
			}
			want := map[string]string{"quiet": "q", "read": between[len(between)-1]}
			for _, name := range between {
				want[name] = "new"
			}
			s := openAfter(t, at("a"), "back", left[1:]...)
			expect(t, s, want)
			// And back and forth again.
			s.Put(map[string]string{"read": "again"})
			s.Close()
			want["read"] = "again"
			expect(t, openAfter(t, at("b"), "there", left[0], at("c")), want)
		})
	}
}

// A component's positions stay valid if nobody has continued from them, and aren't used
// if others, which have none of them, differ.
func TestAComponentThatComesBackKeepsWhatNobodyHasContinuedFrom(t *testing.T) {
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	leave(t, at("a"), map[string]string{"own": "1", "both": "a"})
	openAfter(t, at("b"), "1", at("a")).Close()
	leave(t, at("other"), map[string]string{"both": "o", "2": "x"})
	expect(t, openAfter(t, at("a"), "2", at("other")), map[string]string{"own": "1", "2": "x"})

	leave(t, at("c"), map[string]string{"own": "1"})
	openAfter(t, at("d"), "3", at("c")).Close()
	expect(t, openAfter(t, at("c"), "4"), map[string]string{"own": "1"})
}

// A component that comes back keeps its positions where those who continued from them
// have none at all, or differ about all of them: it reads again what they have read.
func TestAComponentThatComesBackKeepsItsOwnPositionsIfNoneAreLeft(t *testing.T) {
	for name, change := range map[string]func(s *Store, by string){
		"none":   func(s *Store, _ string) { s.Delete("read") },
		"differ": func(s *Store, by string) { s.Put(map[string]string{"read": by}) },
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			at := func(name string) string { return filepath.Join(root, name) }
			leave(t, at("a"), map[string]string{"read": "1"})
			for _, by := range []string{"b", "c"} {
				s := openAfter(t, at(by), "1", at("a"))
				change(s, by)
				s.Close()
			}
			s := openAfter(t, at("a"), "2", at("b"), at("c"))
			expect(t, s, map[string]string{"read": "1"})
			s.Close()
			expect(t, open(t, at("a")), map[string]string{"read": "1"})
		})
	}
}
