package positions

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	counter := func(name string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: name})
	}
	s, err := Open(dir, Options{Logger: slog.New(slog.DiscardHandler), Damaged: counter("damaged"), Failed: counter("failed")})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func expect(t *testing.T, s *Store, want map[string]string) {
	t.Helper()
	if got := s.All(); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestWhatWasPutIsThereAfterAKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	s := open(t, dir)
	if !s.Fresh() || s.Lost() {
		t.Error("a new store is not fresh")
	}
	s.Put(map[string]string{"a": "1", "b \xff\n\"": "2 \x00"})
	s.Put(map[string]string{"a": "3", "c": "4"})
	s.Delete("c")
	_ = s.lock.Close() // as the kernel does; nothing is synced or closed
	again := open(t, dir)
	defer again.Close()
	if again.Fresh() || again.Lost() {
		t.Error("a store with positions is fresh or damaged")
	}
	expect(t, again, map[string]string{"a": "3", "b \xff\n\"": "2 \x00"})
}

func TestDamageCostsTheDamagedLine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	s := open(t, dir)
	s.Put(map[string]string{"a": "1", "b": "2"})
	s.Close()
	path := filepath.Join(dir, fileName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole := string(data)
	for i := range len(whole) - 1 { // without the last line end
		if whole[i] == '\n' {
			continue
		}
		damaged := whole[:i] + "#" + whole[i+1:]
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(filepath.Join(dir, previousName))
		s := open(t, dir)
		if !s.Lost() || len(s.All()) != 1 {
			t.Errorf("byte %d: %v are left, lost: %t", i, s.All(), s.Lost())
		}
		s.Close()
	}
	// What was being written when the power went is not damage.
	if err := os.WriteFile(path, []byte(whole[:len(whole)-5]), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(dir, previousName))
	s = open(t, dir)
	defer s.Close()
	if s.Lost() || len(s.All()) != 1 {
		t.Errorf("torn: %v are left, lost: %t", s.All(), s.Lost())
	}
}

func TestTheFileStaysSmall(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "c"))
	defer s.Close()
	for range 3000 {
		s.Put(map[string]string{"a": strings.Repeat("x", 200), "b": "1"})
		s.Put(map[string]string{"a": "y"})
	}
	if s.size > 2*compactAbove {
		t.Errorf("the file has %d bytes", s.size)
	}
}

func TestWhatCannotBeWrittenIsWrittenLater(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "parent")
	if err := os.WriteFile(parent, nil, 0o600); err != nil { // no folder can be made below
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "c")
	s := open(t, dir)
	s.Put(map[string]string{"a": "1"})
	if err := os.Remove(parent); err != nil {
		t.Fatal(err)
	}
	s.Sync()
	s.Close()
	again := open(t, dir)
	defer again.Close()
	expect(t, again, map[string]string{"a": "1"})
}

// Promtail 2 and 3 write a mapping of paths and cursors to texts; keys that are long
// are on lines of their own.
func TestPromtailsFilesAreRead(t *testing.T) {
	long := "/var/log/" + strings.Repeat("long/", 40) + "a b.log"
	text := "positions:\n  /var/log/a.log: \"4711\"\n  ? " + long + "\n  : \"17\"\n  '/var/log/it''s.log': \"0\"\n  cursor-journal: s=1;i=2;b=3\n" +
		"  journal-old: s=4\n  cursor-0123abc: \"1700000006\"\n"
	got := map[string]string{}
	if err := EachOfAlloy([]byte(text), func(path, labels, value string) {
		if labels != NoLabels {
			t.Errorf("%s has the labels %s", path, labels)
		}
		got[path] = value
	}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"/var/log/a.log": "4711", long: "17", "/var/log/it's.log": "0", "cursor-journal": "s=1;i=2;b=3", "journal-old": "s=4", "cursor-0123abc": "1700000006",
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, empty := range []string{"", "positions: {}\n", "positions:\n"} {
		if err := EachOfAlloy([]byte(empty), func(path, _, _ string) { t.Errorf("%q has %s", empty, path) }); err != nil {
			t.Error(err)
		}
	}
}
