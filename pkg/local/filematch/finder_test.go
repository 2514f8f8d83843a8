package filematch

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/bmatcuk/doublestar"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
)

// later is a clock by which everything that has been written was written long ago.
func later() time.Time { return time.Now().Add(time.Hour) }

// paths are the files that f finds for a pattern.
func paths(t testing.TB, f *Finder, pattern string) (out []string) {
	t.Helper()
	targets := []discovery.Target{labels.FromStrings(PathLabel, pattern)}
	for _, found := range f.Find(targets, 0, func(_ discovery.Target, err error) { t.Error(err) }) {
		out = append(out, found.Get(PathLabel))
	}
	return out
}

// only is what is known of the only target that f has looked for.
func only(f *Finder) *found {
	for _, known := range f.found {
		return known
	}
	return nil
}

func TestFoldersThatDoNotChangeAreNotReadAgain(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a/b/x.log"))
	f := NewFinder()
	f.now = later
	paths(t, f, dir+"/**/*.log")
	first := only(f)
	if got := paths(t, f, dir+"/**/*.log"); len(got) != 1 || only(f) != first {
		t.Errorf("folders are read again though nothing has changed; found %v", got)
	}
	write(t, filepath.Join(dir, "a/b/x.log")) // is no change of the folder
	if paths(t, f, dir+"/**/*.log"); only(f) != first {
		t.Error("folders are read again when a file is written")
	}
	write(t, filepath.Join(dir, "a/c/y.log"))
	if got := paths(t, f, dir+"/**/*.log"); len(got) != 2 || only(f) == first {
		t.Errorf("found %v after a new file", got)
	}
}

// A file that gets too old is no target, until it is written to again.
func TestAFileGetsTooOldAndYoungAgain(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.log")
	write(t, path)
	now := later()
	f := NewFinder()
	f.now = func() time.Time { return now }
	find := func(want int) {
		t.Helper()
		targets := []discovery.Target{labels.FromStrings(PathLabel, dir+"/*.log")}
		if got := f.Find(targets, 2*time.Hour, func(_ discovery.Target, err error) { t.Error(err) }); len(got) != want {
			t.Errorf("found %v, want %d", got, want)
		}
	}
	find(1)
	now = now.Add(2 * time.Hour)
	find(0)
	if err := os.Chtimes(path, now, now); err != nil {
		t.Fatal(err)
	}
	find(1)
}

// A change that has the same time as one before is noticed, as what was read right after
// a change is read again.
func TestAFolderThatHasJustChangedIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "x.log"))
	at := time.Now()
	if err := os.Chtimes(dir, at, at); err != nil {
		t.Fatal(err)
	}
	f := NewFinder()
	f.now = func() time.Time { return at.Add(time.Second) }
	paths(t, f, dir+"/*.log")
	write(t, filepath.Join(dir, "y.log"))
	if err := os.Chtimes(dir, at, at); err != nil {
		t.Fatal(err)
	}
	if got := paths(t, f, dir+"/*.log"); len(got) != 2 {
		t.Errorf("found %v", got)
	}
}

func TestAPathThatIsNoPatternIsFoundWithoutReadingItsFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "x.log"))
	f := NewFinder()
	for range 2 {
		if got := paths(t, f, dir+"/./x.log"); !slices.Equal(got, []string{dir + "/x.log"}) {
			t.Errorf("found %v", got)
		}
		if got := paths(t, f, dir+"/y.log"); got != nil {
			t.Errorf("found %v", got)
		}
	}
	if known := only(f); len(known.seen) != 1 {
		t.Errorf("looked at %+v for one path", known.seen)
	}
}

// tree is a folder in which something changes again and again.
type tree struct {
	t    *testing.T
	dir  string
	rand *rand.Rand
}

// path is a random path.
func (r *tree) path() string {
	path := r.dir
	for range 1 + r.rand.IntN(3) {
		path = filepath.Join(path, []string{"a", "b", "c.log", "d.log", "link"}[r.rand.IntN(5)])
	}
	return path
}

// change changes something; what is not possible is no change.
func (r *tree) change() string {
	path, other := r.path(), r.path()
	switch r.rand.IntN(6) {
	case 0, 1:
		_ = os.WriteFile(path, []byte("x"), 0o600)
		return "write " + path
	case 2:
		_ = os.MkdirAll(path, 0o700)
		return "mkdir " + path
	case 3:
		_ = os.RemoveAll(path)
		return "remove " + path
	case 4:
		_ = os.Rename(path, other)
		return "rename " + path + " " + other
	default:
		if filepath.Base(path) == "link" { // links between files, and to one folder beside the tree
			_ = os.Symlink([]string{"c.log", r.dir + ".beside"}[r.rand.IntN(2)], path)
		}
		return "link " + path
	}
}

// tick waits until the file system gives another time than it gave to what was changed.
func (r *tree) tick() {
	r.t.Helper()
	probe := r.dir + ".probe"
	stamp := func() time.Time {
		if err := os.WriteFile(probe, []byte("x"), 0o600); err != nil {
			r.t.Fatal(err)
		}
		info, err := os.Stat(probe)
		if err != nil {
			r.t.Fatal(err)
		}
		return info.ModTime()
	}
	for first := stamp(); stamp().Equal(first); {
	}
}

// expanded is what a pattern matches, without anything that is known before.
func expanded(t *testing.T, pattern string) (out []string) {
	t.Helper()
	matches, err := doublestar.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range matches {
		if info, err := os.Stat(m); err == nil && !info.IsDir() {
			out = append(out, m)
		}
	}
	return out
}

// Whatever changes, what is found is what a pattern matches.
func TestWhatIsFoundIsWhatPatternsMatch(t *testing.T) {
	for seed := range uint64(10) {
		r := &tree{t, filepath.Join(t.TempDir(), "tree"), rand.New(rand.NewPCG(seed, 0))}
		for _, dir := range []string{r.dir, r.dir + ".beside/a"} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		write(t, r.dir+".beside/a/c.log")
		patterns := []string{r.dir + "/**/*.log", r.dir + "/*/*", r.dir + "/a/{c,d}.log", r.dir + "/a/b/c.log", r.dir + "/link/**/c.log", r.dir + "/b/*.log"}
		finders := make([]*Finder, len(patterns))
		for i := range finders {
			finders[i] = NewFinder()
			finders[i].now = later
		}
		kept := 0
		for step := range 60 {
			what := r.change()
			r.tick()
			for i, pattern := range patterns {
				before := only(finders[i])
				got, want := paths(t, finders[i], pattern), expanded(t, pattern)
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("seed %d, step %d, %s: %s: found %v, want %v", seed, step, what, pattern, got, want)
				}
				if only(finders[i]) == before {
					kept++
				}
			}
		}
		if kept == 0 {
			t.Error("everything was read again each time")
		}
	}
}

// A link to a folder above itself ends.
func TestALinkToAFolderAboveEnds(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"one", "two", "three"} {
		if err := os.Symlink(dir, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "x.log"))
	var failed error
	f := NewFinder()
	f.folders = 500
	found := f.Find([]discovery.Target{labels.FromStrings(PathLabel, dir+"/**/*.log")}, 0, func(_ discovery.Target, err error) { failed = err })
	if failed == nil || len(found) == 0 {
		t.Errorf("%d files, %v", len(found), failed)
	}
}

func BenchmarkTenThousandFiles(b *testing.B) {
	for _, age := range []time.Duration{0, time.Hour} {
		b.Run(fmt.Sprintf("ignore_older_than=%s", age), func(b *testing.B) {
			dir := b.TempDir()
			for i := range 10_000 {
				if err := os.WriteFile(fmt.Sprintf("%s/%d.log", dir, i), nil, 0o600); err != nil {
					b.Fatal(err)
				}
			}
			f := NewFinder()
			f.now = later
			targets := []discovery.Target{labels.FromStrings(PathLabel, dir+"/*.log", "job", "x")}
			f.Find(targets, 24*time.Hour, func(_ discovery.Target, err error) { b.Error(err) })
			b.ReportAllocs()
			for b.Loop() {
				if n := len(f.Find(targets, 24*age, func(_ discovery.Target, err error) { b.Error(err) })); n != 10_000 {
					b.Fatal(n)
				}
			}
		})
	}
}
