package positions

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"collector/pkg/durable"
)

const (
	// takenName is the file that says in which load of the configuration other
	// components have taken over what is in a folder.
	takenName = "taken_over"
	// inheritedName has what a component has taken over, which tells what of its
	// positions is its own. It also has what those before it had taken over.
	inheritedName = "inherited"
	// keepLeft is how long after they were last written positions are taken over.
	keepLeft = 30 * 24 * time.Hour
)

// Left calls f with the folders that components of the same kind have left, which
// are no longer in the configuration, and with what is the same for all components
// that began with one load of it. It calls one f at a time. A nil Left has none.
type Left func(f func(dirs []string, load string))

// Content is the file of positions in a folder, and what of it was taken over.
type Content struct{ Positions, Inherited []byte }

// TakeOver gives what was left to the component in dir, which may be one of them under
// another name: one without positions of its own, or one that was renamed and gets its
// old name back, see TakenOver. store gets the file called name from each folder, and
// makes that in dir. Nothing is removed, as the component may come back, but once it is
// stored, components of later loads don't get it again. store returns what Inherited
// makes, as the file is written.
func TakeOver(dir string, left Left, name string, store func(contents []Content) (inherited []byte, err error)) {
	if left == nil {
		return
	}
	left(func(dirs []string, load string) {
		var contents []Content
		var from []string
		for _, old := range dirs {
			content, release, err := openLeft(old, name, load)
			if err != nil {
				continue
			}
			defer release()
			contents, from = append(contents, content), append(from, old)
		}
		if len(contents) == 0 {
			return
		}
		inherited, err := store(contents)
		if err != nil {
			return
		}
		// Without these files, somebody may take over less or more later, and read it again.
		_ = durable.WriteFile(filepath.Join(dir, inheritedName), inherited)
		for _, old := range from {
			_ = durable.WriteFile(filepath.Join(old, takenName), []byte(load))
		}
	})
}

// openLeft reads the file in a folder, and keeps others out of that until it is
// released.
func openLeft(dir, name, load string) (content Content, release func(), err error) {
	path := filepath.Join(dir, name)
	info, err := os.Lstat(path)
	if err != nil {
		return content, nil, err
	}
	if time.Since(info.ModTime()) > keepLeft {
		return content, nil, fs.ErrNotExist
	}
	lock, err := durable.Lock(dir)
	if err != nil {
		return content, nil, err // it is not left at all, or has not ended yet
	}
	taken, err := durable.ReadFile(filepath.Join(dir, takenName), 64)
	if err == nil && string(taken) != load {
		err = fs.ErrExist
	} else if err == nil || errors.Is(err, fs.ErrNotExist) {
		content.Positions, err = durable.ReadFile(path, 0)
		content.Inherited, _ = durable.ReadFile(filepath.Join(dir, inheritedName), 0) // most have none
	}
	if err != nil {
		_ = lock.Close()
		return content, nil, err
	}
	return content, func() { _ = lock.Close() }, nil
}

// TakenOver reports whether others have continued from the positions in dir, and the
// component in it has not run since.
func TakenOver(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, takenName))
	return err == nil
}

// Back says that the component in dir runs again: what it stores from now on may
// be taken over once more. The caller holds the lock of dir.
func Back(dir string) { _ = os.Remove(filepath.Join(dir, takenName)) }

// Part is what one component has left.
type Part[V comparable] struct{ Entries, Inherited map[string]V }

// Merge is what a component has that had the entries before, with those of several
// others. Where they differ, an entry that a component took over and has never changed
// doesn't count. For the others the owner is unknown: none is used, and their logs are
// read again. Others may have taken over the previous entries: their versions are newer.
// But where others have no entries at all, their file may be damaged, and the entries
// before are used.
func Merge[V comparable](before map[string]V, parts []Part[V]) map[string]V {
	if !slices.ContainsFunc(parts, func(p Part[V]) bool { return len(p.Entries) > 0 }) {
		return before
	}
	dst := make(map[string]V)
	own, differ := map[string]bool{}, map[string]bool{}
	for _, part := range parts {
		for key, value := range part.Entries {
			inherited, ok := part.Inherited[key]
			mine := !ok || inherited != value
			old, exists := dst[key]
			switch {
			case !exists || mine && !own[key]:
				dst[key], own[key], differ[key] = value, mine, false
			case mine == own[key] && old != value:
				differ[key] = true
			}
		}
	}
	for key, value := range before {
		if slices.ContainsFunc(parts, func(p Part[V]) bool {
			_, ok := p.Inherited[key]
			return ok
		}) {
			continue // even if it has been removed since
		}
		if other, exists := dst[key]; exists && other != value {
			differ[key] = true
		}
		dst[key] = value
	}
	for key := range differ {
		if differ[key] {
			delete(dst, key)
		}
	}
	return dst
}

// Inherited is what a component has taken over that has these entries now, with what
// the others had taken over and removed.
func Inherited[V comparable](entries map[string]V, parts []Part[V]) map[string]V {
	all := make(map[string]V)
	for _, part := range parts {
		maps.Copy(all, part.Inherited)
	}
	maps.Copy(all, entries)
	return all
}

// takeOver adds the positions that were left. It holds mu.
func (s *Store) takeOver() {
	TakeOver(s.dir, s.o.Left, fileName, func(contents []Content) ([]byte, error) {
		var parts []Part[string]
		for _, c := range contents {
			parts = append(parts, Part[string]{entriesOf(c.Positions), entriesOf(c.Inherited)})
		}
		merged := Merge(s.entries, parts)
		if len(merged) == 0 {
			return nil, fs.ErrNotExist // and what it had stays
		}
		s.entries = merged
		s.fresh = false
		s.o.Logger.Info("continuing from the positions of components that are no longer in the configuration", "positions", len(s.entries), "components", len(parts))
		return appendAll(nil, Inherited(s.entries, parts)), s.compact()
	})
}

func entriesOf(data []byte) map[string]string {
	s := &Store{entries: make(map[string]string)}
	s.apply(data)
	return s.entries
}
