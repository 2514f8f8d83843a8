package queue

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"collector/pkg/durable"
)

// descriptionName is the file beside a queue that says whose it is, for when its
// writer is no longer in the configuration.
const descriptionName = "destinations.json"

// maxDescription bounds what is read of a description.
const maxDescription = 1 << 20

// Description says whose a queue is.
type Description struct {
	Component    string        `json:"component"` // such as "loki.write.default"
	Signal       string        `json:"signal"`
	Destinations []Destination `json:"destinations"`
}

// Destination says where a reader's blocks go.
type Destination struct {
	Reader string `json:"reader"`
	URL    string `json:"url"` // for people; without credentials
	// Key is the same for the same destination, whichever writer sends there. It
	// is a hash: nothing of what it is made of can be read from it.
	Key string `json:"key"`
}

// of returns what is said of a reader.
func (d *Description) of(reader string) Destination {
	for _, to := range d.Destinations {
		if to.Reader == reader {
			return to
		}
	}
	return Destination{Reader: reader}
}

// Folder is a queue on disk.
type Folder struct {
	Dir string
	Description
}

// describe writes the description of the queue in dir, unless it is there.
func describe(dir string, d Description) error {
	content, err := json.Marshal(d)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, descriptionName)
	if old, err := durable.ReadFile(path, maxDescription); err == nil && string(old) == string(content) {
		return nil
	}
	return durable.WriteFile(path, content)
}

// ReadFolder returns what is known of the queue in dir, with all its readers. ok is false
// where there is no queue. One of an older version names its readers, but not where they
// send.
func ReadFolder(dir string) (f Folder, ok bool) {
	f.Dir = dir
	entries, err := os.ReadDir(dir)
	if err != nil {
		return f, false
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		_, _, segment := parseSegmentName(e.Name())
		ok = ok || segment || strings.HasSuffix(e.Name(), cursorSuffix)
	}
	if content, err := durable.ReadFile(filepath.Join(dir, descriptionName), maxDescription); err == nil {
		_ = json.Unmarshal(content, &f.Description) // a damaged one says nothing
	}
	files, err := readCursors(dir, names)
	if err != nil || !ok {
		return f, false
	}
	var readers []Destination
	for _, name := range slices.Sorted(mapKeys(files)) {
		for _, id := range files[name].roster {
			if _, exists := files[cursorName(id)]; exists && !slices.ContainsFunc(readers, func(d Destination) bool { return d.Reader == id }) {
				readers = append(readers, f.of(id))
			}
		}
	}
	f.Destinations = readers
	return f, len(readers) > 0
}

func mapKeys(files map[string]cursorFile) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range files {
			if !yield(name) {
				return
			}
		}
	}
}

// SetAside is the folder below the storage path for queues in whose former place their
// component may make a new one.
const SetAside = "orphaned"

// maxFindDepth is how deep Find looks: each module that a component is in is a
// folder.
const maxFindDepth = 24

// Find lists the queues below a storage path, by folder. A component has one, or
// one for each signal. Links are not followed.
func Find(root string) ([]Folder, error) {
	var found []Folder
	var look func(dir string, depth int) error
	look = func(dir string, depth int) error {
		if f, ok := ReadFolder(dir); ok && depth > 0 {
			if f.Component == "" {
				f.Component = strings.Split(strings.TrimPrefix(dir, filepath.Clean(root)+string(filepath.Separator)), string(filepath.Separator))[0]
				if depth == 2 {
					f.Signal = filepath.Base(dir)
				}
			}
			found = append(found, f)
			return nil
		}
		if depth == maxFindDepth {
			return nil
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			if depth > 0 || errors.Is(err, fs.ErrNotExist) {
				return nil // nobody's, or nothing yet
			}
			return err
		}
		for _, e := range entries {
			if e.IsDir() {
				if err := look(filepath.Join(dir, e.Name()), depth+1); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return found, look(root, 0)
}

// OpenFolder opens a queue as its writer has left it, with all its readers.
func OpenFolder(f Folder, o Options) (*Queue, error) {
	o.Dir, o.Readers = f.Dir, nil
	for _, d := range f.Destinations {
		o.Readers = append(o.Readers, d.Reader)
	}
	return Open(o)
}

// Queued counts the items that wait for r, and those that are leased.
func (r *Reader) Queued() uint64 {
	r.q.mu.Lock()
	defer r.q.mu.Unlock()
	return r.queued()
}

// Expire drops what has waited for longer than the queue keeps blocks, as an open
// queue does by itself once in a while.
func (q *Queue) Expire() error {
	for _, r := range q.readers {
		for before := r.Queued() + 1; r.Queued() < before; {
			before = r.Queued()
			if err := r.fill(0); err != nil {
				return err
			}
			r.expire()
		}
	}
	return nil
}

// Remove deletes the queue with what is waiting in it, and closes it.
func (q *Queue) Remove() error {
	q.writing.Lock()
	defer q.writing.Unlock()
	if !q.finish() {
		return os.ErrClosed
	}
	// The lock is removed with the rest while it is held: another process that waits for
	// it makes a new one, and with it a queue of its own.
	err := os.RemoveAll(q.dir)
	return errors.Join(err, q.closeFiles())
}
