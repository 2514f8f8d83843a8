package filewatch

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// looking watches a path and gives what Read finds there each time.
func looking(t *testing.T, o Options) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	seen := make(chan string, 100)
	o.Logger = slog.New(slog.DiscardHandler)
	var watching sync.WaitGroup
	watching.Go(func() {
		NewPool().Watch(ctx, o, func() {
			text, _ := Read(o.Paths[0], 1<<10)
			select {
			case seen <- string(text):
			default:
			}
		})
	})
	t.Cleanup(func() { cancel(); watching.Wait() })
	return seen
}

func await(t *testing.T, seen <-chan string, want string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case got := <-seen:
			if got == want {
				return
			}
		case <-deadline:
			t.Fatalf("%q was never seen", want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEveryWayToChangeAFileIsNoticed(t *testing.T) {
	for name, o := range map[string]Options{"events": {Detector: Notify, Every: time.Hour}, "polls": {Detector: Poll, Every: 5 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			o.Paths = []string{filepath.Join(t.TempDir(), "f")}
			seen := looking(t, o)
			await(t, seen, "")
			write(t, o.Paths[0], "made")
			await(t, seen, "made")
			write(t, o.Paths[0], "written")
			await(t, seen, "written")
			write(t, o.Paths[0]+".new", "renamed")
			if err := os.Rename(o.Paths[0]+".new", o.Paths[0]); err != nil {
				t.Fatal(err)
			}
			await(t, seen, "renamed")
			if err := os.Remove(o.Paths[0]); err != nil {
				t.Fatal(err)
			}
			await(t, seen, "")
			write(t, o.Paths[0], "again")
			await(t, seen, "again")
		})
	}
}

func TestAFileBehindALinkThatIsReplacedIsNoticed(t *testing.T) {
	folder := t.TempDir()
	for _, version := range []string{"..1", "..2"} {
		if err := os.Mkdir(filepath.Join(folder, version), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, version, "f"), version)
	}
	link := func(version string) {
		if err := os.Symlink(version, filepath.Join(folder, "..new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(folder, "..new"), filepath.Join(folder, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	link("..1")
	path := filepath.Join(folder, "f")
	if err := os.Symlink(filepath.Join("..data", "f"), path); err != nil {
		t.Fatal(err)
	}
	seen := looking(t, Options{Paths: []string{path}, Detector: Notify, Every: time.Hour})
	await(t, seen, "..1")
	link("..2")
	await(t, seen, "..2")
}

func TestWhatIsNoFileOrTooLargeIsRejected(t *testing.T) {
	folder := t.TempDir()
	pipe := filepath.Join(folder, "pipe")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(folder, "large")
	write(t, large, "12345")
	for _, path := range []string{pipe, large, folder, filepath.Join(folder, "absent")} {
		if text, err := Read(path, 4); err == nil {
			t.Errorf("%s: read %q", path, text)
		}
	}
	if text, err := Read(large, 5); err != nil || string(text) != "12345" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestDetectorsHaveTheirNames(t *testing.T) {
	for text, want := range map[string]Detector{"": Notify, "fsnotify": Notify, "poll": Poll} {
		var d Detector
		if err := d.UnmarshalText([]byte(text)); err != nil || d != want {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
	var d Detector
	if d.UnmarshalText([]byte("inotify")) == nil {
		t.Error("an unknown detector is taken")
	}
}
