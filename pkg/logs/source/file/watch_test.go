package file

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"collector/pkg/component"
	"collector/pkg/logs/source/positions"

	"github.com/prometheus/client_golang/prometheus"
)

// watches is how many folders the kernel watches for this process.
func watches(t *testing.T) (n int) {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fdinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		info, _ := os.ReadFile("/proc/self/fdinfo/" + fd.Name())
		n += strings.Count(string(info), "\ninotify ")
	}
	return n
}

func TestWatchesOfRemovedFilesAreReleased(t *testing.T) {
	const waves, files = 10, 1000
	b := newBench(t)
	before := watches(t)
	b.start()
	for wave := range waves {
		var names []string
		for i := range files {
			name := fmt.Sprintf("%d-%d/a.log", wave, i)
			if err := os.Mkdir(strings.TrimSuffix(b.path(name), "/a.log"), 0o700); err != nil {
				t.Fatal(err)
			}
			b.write(name, name+"\n")
			names = append(names, name)
		}
		b.target(names...)
		b.until("all are read", func() bool { return len(b.sink.Lines()) == (wave+1)*files })
		if n := watches(t) - before; n < files {
			t.Fatalf("the kernel watches %d folders of %d", n, files)
		}
	}
	b.target()
	b.until("no file is followed", func() bool { return len(b.source.Tails()) == 0 })
	if n := watches(t) - before; n != 0 {
		t.Errorf("%d folders are watched for no file", n)
	}
}

func TestAFolderIsWatchedAsLongAsOneOfItsFilesIsFollowed(t *testing.T) {
	b := newBench(t)
	b.write("a.log", "1\n")
	b.write("b.log", "2\n")
	b.target("a.log", "b.log")
	b.start()
	b.wait("1", "2")
	b.target("b.log")
	b.until("one is left", func() bool { return len(b.source.Tails()) == 1 })
	if !b.source.watch.watches(b.path("b.log")) {
		t.Error("its folder is no longer watched")
	}
	b.append("b.log", "3\n")
	b.wait("1", "2", "3")
}

func TestAFolderThatComesBackIsWatchedAgain(t *testing.T) {
	b := newBench(t)
	dir := b.path("sub")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w := newWatcher(component.Options{}.WithDefaults().Logger, func(map[string]bool) {})
	defer func() { _ = w.fs.Close() }()
	w.add(dir + "/a.log")
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	for b.until("the kernel has dropped it", func() bool { return len(w.fs.WatchList()) == 0 }); w.watches(dir + "/a.log"); {
		w.retry()
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w.retry()
	if !w.watches(dir + "/a.log") {
		t.Error("it is not watched")
	}
	w.remove(dir + "/a.log")
	if len(w.folders) != 0 || len(w.fs.WatchList()) != 0 {
		t.Errorf("left: %v, %v", w.folders, w.fs.WatchList())
	}
}

func TestWhatIsKnownOfFilesIsForgottenWithTheirPositions(t *testing.T) {
	dir := t.TempDir()
	s, err := New(Config{OnPositionsFileError: onErrorBeginning, MaxLineSize: defaultMaxLineSize}, component.Options{ID: "loki.source.file.test", Dir: dir, Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if s.store, err = positions.Open(dir, positions.Options{Logger: s.opts.Logger, Damaged: s.metrics.damaged, Failed: s.metrics.failed}); err != nil {
		t.Fatal(err)
	}
	defer s.store.Close()
	for i := range 100 {
		s.store.Put(map[string]string{
			keyOf(fmt.Sprintf("%s/%d.log", dir, i), "{}"): encodeMarks([]mark{{fileID: fileID{1, uint64(i)}, Offset: 1}}),
		})
	}
	r := newReader(s, s.store)
	if len(r.past) != 100 || len(r.stored) != 100 {
		t.Fatalf("%d and %d are known", len(r.past), len(r.stored))
	}
	if err := os.WriteFile(dir+"/7.log", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.forget()
	r.forget(s.takeForgotten())
	if len(r.past) != 1 || len(r.stored) != 1 || len(s.store.All()) != 1 {
		t.Errorf("%d, %d and %d are known of the one that is there", len(r.past), len(r.stored), len(s.store.All()))
	}
}

// Files of which the kernel reports changes are looked at often only once they have been
// rotated away.
func TestOnlyRotatedFilesAreLookedAtOften(t *testing.T) {
	b := newBench(t)
	b.write("a.log", "1\n")
	b.target("a.log")
	b.start()
	b.wait("1")
	polled := func(n int) func() bool {
		return func() bool {
			tails, _ := b.source.polled(false, true)
			return len(tails) == n
		}
	}
	b.until("a quiet file is not looked at", polled(0))
	f, err := os.OpenFile(b.path("a.log"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b.rename("a.log", "a.log.1")
	b.until("a file that was renamed is looked at", polled(1))
}
