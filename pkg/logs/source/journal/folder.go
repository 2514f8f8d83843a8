package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"collector/pkg/logs/source/journal/journalfile"
)

// settle is for how long after a change a folder is listed again: its modification time
// does not distinguish changes in quick succession.
const settle = 2 * time.Second

// folder is a folder of journal files.
type folder struct {
	path   string
	name   string // that of the machine, and of the namespace; "" for a root
	root   root
	listed time.Time          // its modification time when it was listed
	again  bool               // it has to be listed again whatever its time
	known  bool               // it was listed before: what is new in it has just been made
	subs   []string           // of a root: the folders of machines
	bad    map[string]refusal // files that can't be read, by name
}

// refusal is a file that could not be read.
type refusal struct {
	sight sight
	at    time.Time
	final bool // what it holds is no journal
	copy  bool // it is one of a file that is read
}

// sight is what is seen of a file without opening it.
type sight struct {
	dev, inode uint64
	size       int64
	changed    int64
}

func sightOf(info fs.FileInfo) sight {
	out := sight{size: info.Size(), changed: info.ModTime().UnixNano()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		out.dev, out.inode = uint64(stat.Dev), stat.Ino
	}
	return out
}

// errNoJournal is for users who forgot to mount the journal into the container.
var errNoJournal = errors.New("no journal is found in /var/log/journal or /run/log/journal: mount the host's folders there, or set path")

// look looks for folders and files that have come, were renamed, or were removed.
func (r *reader) look() {
	var paths []string
	present := make(map[string]bool)
	for _, root := range r.source.roots {
		top := r.folder(root.path, root, "")
		r.list(top)
		paths, present[top.path] = append(paths, top.path), true
		for _, name := range top.subs {
			sub := r.folder(filepath.Join(root.path, name), root, name)
			r.list(sub)
			paths, present[sub.path] = append(paths, sub.path), true
		}
		r.warnForeign(top)
	}
	for path, f := range r.folders {
		if !present[path] {
			r.abandon(f)
			delete(r.folders, path)
			r.source.removeTail(path)
		}
	}
	if len(r.source.Folders()) == 0 {
		r.source.setFolder(r.folders[r.source.roots[0].path], errNoJournal)
		r.source.quiet.Warn(r.source.opts.Logger, "", "there is no journal yet; it is read as soon as there is one", "path", r.source.roots[0].path)
	}
	if !slices.Equal(paths, r.watched) {
		r.watched = paths
		r.source.watchPaths(slices.Clone(paths))
	}
}

func (r *reader) folder(path string, root root, name string) *folder {
	f := r.folders[path]
	if f == nil {
		f = &folder{path: path, name: name, root: root, bad: make(map[string]refusal)}
		r.folders[path] = f
	}
	return f
}

// list opens the files in a folder that are new, if it has changed.
func (r *reader) list(f *folder) {
	info, err := os.Stat(f.path)
	if err == nil && !f.again && info.ModTime().Equal(f.listed) {
		return
	}
	var entries []fs.DirEntry
	if err == nil {
		entries, err = os.ReadDir(f.path)
	}
	if err != nil {
		r.missing(f, err)
		return
	}
	f.again = time.Since(info.ModTime()) < settle
	f.listed, f.subs = info.ModTime(), nil
	names := make(map[string]bool)
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasSuffix(name, ".journal") || strings.HasSuffix(name, ".journal~"):
			names[name] = true
			r.meet(f, name)
		case f.name == "" && r.wants(f.root, name):
			if info, err := os.Stat(filepath.Join(f.path, name)); err == nil && info.IsDir() {
				f.subs = append(f.subs, name)
			}
		}
	}
	for name := range f.bad {
		if !names[name] {
			delete(f.bad, name)
		}
	}
	r.leave(f, names)
	f.known = true
	if f.name != "" || len(names) > 0 {
		r.source.setFolder(f, nil)
		r.source.setRefused(f, f.refused())
	} else {
		r.source.removeTail(f.path)
	}
}

// missing says that a folder can't be read.
func (r *reader) missing(f *folder, err error) {
	f.listed, f.subs, f.known = time.Time{}, nil, false
	if errors.Is(err, fs.ErrNotExist) {
		r.abandon(f)
		if len(r.source.roots) > 1 {
			r.source.removeTail(f.path) // journald uses one of them
			return
		}
	} else {
		r.source.metrics.readErrors.Inc()
	}
	err = helped(err)
	r.source.setFolder(f, err)
	r.source.quiet.Warn(r.source.opts.Logger, f.path, "cannot read a folder of the journal; retrying", "path", f.path, "err", err)
}

// wants reports whether a folder of a root belongs to a machine whose journal is
// read. A namespace has a folder beside the machine's own.
func (r *reader) wants(root root, name string) bool {
	machine, _, _ := strings.Cut(name, ".")
	if _, err := journalfile.ParseID(machine); err != nil {
		return false
	}
	return !root.local || r.source.machine == "" || machine == r.source.machine
}

// warnForeign tells users who want another machine's journal that they have to configure
// its path.
func (r *reader) warnForeign(top *folder) {
	if !top.root.local || r.source.machine == "" || len(top.subs) > 0 {
		return
	}
	entries, _ := os.ReadDir(top.path)
	for _, e := range entries {
		if _, err := journalfile.ParseID(e.Name()); err == nil {
			r.source.quiet.Warn(r.source.opts.Logger, top.path, "the folder has only journals of other machines, which are not read: set path, or mount the /etc/machine-id of the host",
				"path", top.path, "machine", e.Name(), "this_machine", r.source.machine)
			return
		}
	}
}

// meet handles a file in a folder that is new, or is known by another name.
func (r *reader) meet(f *folder, name string) {
	path := filepath.Join(f.path, name)
	info, err := os.Stat(path)
	if err != nil {
		f.again = true // it was renamed a moment ago, or will be readable later
		return
	}
	now := sightOf(info)
	key := inode{now.dev, now.inode}
	if known := r.byInode[key]; known != nil && (known.src != nil || known.name == name && known.folder == f) {
		known.folder, known.name, known.gone = f, name, false
		return
	}
	if bad, ok := f.bad[name]; ok && bad.sight == now && (bad.final || time.Since(bad.at) < lookEvery) {
		f.again = true // to see when it changes
		return
	}
	if err = r.openFile(f, name); err == nil {
		delete(f.bad, name)
		return
	}
	f.again = true
	if errors.Is(err, journalfile.ErrNotAJournal) && time.Since(info.ModTime()) < settle {
		return // it has just been made
	}
	isCopy := errors.Is(err, errCopy)
	final := isCopy || errors.Is(err, journalfile.ErrNotAJournal) || errors.Is(err, journalfile.ErrUnsupported) || isDamage(err)
	f.bad[name] = refusal{sight: now, at: time.Now(), final: final, copy: isCopy}
	r.refuse(f, path, helped(err), final)
}

// refused is how many files of the folder can't be read.
func (f *folder) refused() (n int) {
	for _, bad := range f.bad {
		if !bad.copy {
			n++
		}
	}
	return n
}

// helped adds advice to an error.
func helped(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: add the collector's user to the group that may read it, such as systemd-journal", err)
	}
	return err
}

// refuse records that a file can't be read at all.
func (r *reader) refuse(f *folder, path string, err error, final bool) {
	s := r.source
	if errors.Is(err, errCopy) {
		s.opts.Logger.Info("a journal file is not read: it is a copy", "path", path, "err", err)
		return
	}
	if final {
		s.metrics.damagedFiles.Inc()
	} else {
		s.metrics.readErrors.Inc()
	}
	s.fail(f, path, err)
	s.quiet.Warn(s.opts.Logger, path, "cannot read a journal file; the others continue", "path", path, "err", err)
}

// leave records which files of a folder no longer exist. One that was renamed while the
// folder was listed may have been missed, so that a second look decides.
func (r *reader) leave(f *folder, names map[string]bool) {
	for _, file := range r.files {
		switch {
		case file.folder != f || names[file.name]:
		case file.src != nil:
			file.gone = unlinked(file.src)
			f.again = f.again || !file.gone
		case !file.gone:
			file.gone, f.again = true, true
		default:
			r.forget(file)
		}
	}
}

// abandon is leave for a folder that was removed.
func (r *reader) abandon(f *folder) {
	for _, file := range r.files {
		switch {
		case file.folder != f:
		case file.src != nil:
			file.gone = unlinked(file.src)
		default:
			r.forget(file)
		}
	}
}

// unlinked reports whether an open file has no name any more.
func unlinked(src *os.File) bool {
	info, err := src.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink == 0
}
