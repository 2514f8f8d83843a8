package filewatch

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// instances is how many instances of inotify this process has.
func instances(t *testing.T) (n int) {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	for _, f := range files {
		if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && to == "anon_inode:inotify" {
			n++
		}
	}
	return n
}

// follow watches a path until the test or ctx ends, and gives what Read finds there.
func follow(ctx context.Context, watching *sync.WaitGroup, p *Pool, path string) <-chan string {
	seen := make(chan string, 100)
	o := Options{Paths: []string{path}, Detector: Notify, Every: time.Hour, Logger: slog.New(slog.DiscardHandler)}
	watching.Go(func() {
		p.Watch(ctx, o, func() {
			text, _ := Read(path, 1<<10)
			select {
			case seen <- string(text):
			default:
			}
		})
	})
	return seen
}

func TestAllWatchesShareOneInstanceOfTheKernels(t *testing.T) {
	before := instances(t)
	p, folder := NewPool(), t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	var paths []string
	var seen []<-chan string
	for i := range 200 {
		sub := filepath.Join(folder, fmt.Sprint(i%10))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, filepath.Join(sub, fmt.Sprint(i)))
		write(t, paths[i], "before")
		seen = append(seen, follow(ctx, &watching, p, paths[i]))
	}
	for i := range paths {
		await(t, seen[i], "before")
	}
	if n := instances(t) - before; n != 1 {
		t.Errorf("200 watches have %d instances, want 1", n)
	}
	for _, path := range paths {
		write(t, path, "after")
	}
	for i := range paths {
		await(t, seen[i], "after")
	}
	one, stop := context.WithCancel(ctx)
	var last sync.WaitGroup
	again := follow(one, &last, p, paths[0])
	await(t, again, "after")
	stop()
	last.Wait()
	write(t, paths[0], "to the one that is left")
	await(t, seen[0], "to the one that is left")
	cancel()
	watching.Wait()
	if n := instances(t) - before; n != 0 || len(p.folders) != 0 {
		t.Errorf("left: %d instances, folders %v", n, p.folders)
	}
	t.Cleanup(last.Wait) // after the end of the test's context
	again = follow(t.Context(), &last, p, paths[1])
	await(t, again, "after")
	write(t, paths[1], "later")
	await(t, again, "later")
}

func TestAFolderIsWatchedByAllItsPaths(t *testing.T) {
	p, folder := NewPool(), t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	real, link := filepath.Join(folder, "real"), filepath.Join(folder, "link")
	if err := os.Mkdir(real, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	first := follow(ctx, &watching, p, filepath.Join(real, "f"))
	await(t, first, "")
	second := follow(ctx, &watching, p, filepath.Join(link, "f"))
	await(t, second, "")
	write(t, filepath.Join(real, "f"), "made")
	await(t, first, "made")
	await(t, second, "made")
}

func TestAnEventOfAnotherFileCostsNoLookAtTheDisk(t *testing.T) {
	p, folder := NewPool(), t.TempDir()
	w := newWatch()
	if err := p.follow(w, []string{filepath.Join(folder, "f"), filepath.Join(folder, "*.json")}); err != nil {
		t.Fatal(err)
	}
	defer p.leave(w)
	other := filepath.Join(folder, "other.log")
	// Whatever asks the file system allocates.
	if n := testing.AllocsPerRun(100, func() { p.tell(other) }); n != 0 || len(w.changed) != 0 {
		t.Errorf("%v allocations, woken %d times", n, len(w.changed))
	}
	p.tell(filepath.Join(folder, "a.json"))
	if len(w.changed) != 1 {
		t.Error("a file that a pattern matches wakes nobody")
	}
}
