package componenttest

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience is how long the suite waits for what has to happen at some time.
const patience = time.Minute

// eventually waits until problem finds none.
func eventually(t *testing.T, what string, problem func() string) {
	t.Helper()
	given := time.After(patience)
	for {
		found := problem()
		if found == "" {
			return
		}
		select {
		case <-given:
			t.Fatalf("%s: %s", what, found)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// inventory is what the process has at one moment.
type inventory struct {
	goroutines map[string]string // stacks by number
	files      map[string]string // what open descriptors lead to, by that and the number
}

func takeInventory() inventory { return inventory{goroutines(), openFiles()} }

// gone waits until the process has no more than before.
func (before inventory) gone(t *testing.T, when string) {
	t.Helper()
	eventually(t, when, func() string {
		now := takeInventory()
		if more := beyond(now.goroutines, before.goroutines); more != "" {
			return "a goroutine runs on:\n" + more
		}
		if more := beyond(now.files, before.files); more != "" {
			return "a descriptor is open: " + more
		}
		return ""
	})
}

// beyond is what is in now and not in before.
func beyond(now, before map[string]string) string {
	var more []string
	for key, value := range now {
		if _, known := before[key]; !known {
			more = append(more, value)
		}
	}
	slices.Sort(more)
	return strings.Join(more, "\n\n")
}

func goroutines() map[string]string {
	stacks := make([]byte, 1<<20)
	for {
		n := runtime.Stack(stacks, true)
		if n < len(stacks) {
			stacks = stacks[:n]
			break
		}
		stacks = make([]byte, 2*len(stacks))
	}
	found := map[string]string{}
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		number, _, _ := strings.Cut(stack, " [")
		found[number] = stack
	}
	return found
}

// openFiles is empty where the system doesn't tell.
func openFiles() map[string]string {
	const folder = "/proc/self/fd"
	found := map[string]string{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return found
	}
	for _, e := range entries {
		// What cannot be read is closed already, such as the folder itself.
		if to, err := os.Readlink(filepath.Join(folder, e.Name())); err == nil {
			found[e.Name()+" "+to] = to
		}
	}
	return found
}

// tree lists the files below dir with their sizes omitted: what is written to is
// the component's own.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	paths := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir {
			paths[path] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(paths))
}
