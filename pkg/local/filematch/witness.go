package filematch

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"collector/pkg/filewatch"
)

const (
	// settled is how long ago a folder must have changed for what was read of it to be
	// all: two changes within the precision of a file system's clock look like one.
	settled = 2 * time.Second
	// maxFolders bounds how many folders are looked at for one pattern.
	maxFolders = 100_000
)

var errFolders = errors.New("too many folders match to look at all of them: does a link lead to a folder above it?")

// witness is the file system in which the files of a pattern are looked for. It keeps
// what is seen.
type witness struct {
	now      time.Time
	seen     []sight
	at       map[string]int // the sights by path
	folders  int            // that may be looked at still
	fleeting bool           // what was seen may change without a trace
	err      error          // why not everything was looked at
}

func newWitness(now time.Time, folders int) *witness {
	return &witness{now: now, at: make(map[string]int), folders: folders}
}

// remembered is what was seen, if that is enough to notice all changes; nil if it isn't.
func (w *witness) remembered() []sight {
	if w.fleeting || w.err != nil {
		return nil
	}
	return w.seen
}

// PathSeparator is part of doublestar.OS.
func (w *witness) PathSeparator() rune { return os.PathSeparator }

// Lstat is part of doublestar.OS.
func (w *witness) Lstat(path string) (fs.FileInfo, error) {
	info, err := os.Lstat(path)
	w.see(sight{path, false, signOf(info)})
	return info, err
}

// Stat is part of doublestar.OS.
func (w *witness) Stat(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	w.see(sight{path, true, signOf(info)})
	return info, err
}

// Open is part of doublestar.OS, which opens folders.
func (w *witness) Open(path string) (*os.File, error) {
	if w.folders--; w.folders < 0 {
		w.err = errFolders
		return nil, w.err
	}
	f, err := os.Open(path)
	if err != nil {
		w.fleeting = true
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || !filewatch.KnowsChanges(path) {
		w.fleeting = true
		return f, nil
	}
	w.see(sight{path, true, signOf(info)})
	return f, nil
}

// see keeps a sight in the place of what was seen of the same path before.
func (w *witness) see(s sight) {
	if recent := w.now.Add(-settled).UnixNano(); s.sign.modified > recent || s.sign.changed > recent {
		w.fleeting = true
	}
	if i, ok := w.at[s.path]; ok {
		w.seen[i] = s
		return
	}
	w.at[s.path] = len(w.seen)
	w.seen = append(w.seen, s)
}

// sight is what was seen of a path.
type sight struct {
	path   string
	follow bool // where a link leads
	sign   sign
}

// holds reports whether the path is as it was seen.
func (s *sight) holds() bool {
	var stat syscall.Stat_t
	look := syscall.Lstat
	if s.follow {
		look = syscall.Stat
	}
	if look(s.path, &stat) != nil {
		return s.sign == sign{}
	}
	return s.sign == signFrom(&stat)
}

// sign is by what a file is recognized, and, unless it is a regular one, by what a change
// of it is. A path that leads nowhere has the zero value.
type sign struct {
	kind              uint32
	dev, inode        uint64
	modified, changed int64 // Unix nanoseconds; 0 of a regular file
}

func signOf(info fs.FileInfo) sign {
	if info == nil {
		return sign{}
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return sign{}
	}
	return signFrom(stat)
}

func signFrom(stat *syscall.Stat_t) sign {
	s := sign{kind: stat.Mode & syscall.S_IFMT, dev: uint64(stat.Dev), inode: stat.Ino}
	if s.kind != syscall.S_IFREG {
		s.modified, s.changed = stat.Mtim.Nano(), stat.Ctim.Nano()
	}
	return s
}
