package file

import (
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"collector/pkg/filewatch"
)

// patience is how long a file stays open to which its path no longer leads, as a
// program that has it open may write to it. Such a file is quiet when it does not
// grow.
type patience struct {
	unwritten time.Duration // quiet, and no program has it open to write to it
	replaced  time.Duration // quiet, another file has its name, and the kernel doesn't know
	alone     time.Duration // quiet, nothing has its name, and the kernel doesn't know
	files     int           // quiet files that stay open; beyond that, those that were quiet for longest are closed
}

func defaultPatience() patience {
	return patience{unwritten: 10 * time.Second, replaced: time.Minute, alone: time.Hour, files: 128}
}

// writers says whether a program has a file open to write to it.
type writers int

const (
	unknownWriters writers = iota
	noWriters
	someWriters
)

// writersOf asks the kernel, which grants a lease on a file that is open for reading
// only if nobody has it open for writing. It grants none on files of other users
// without CAP_LEASE, and does not know of writers on other machines.
func writersOf(f *os.File) (answer writers) {
	conn, err := f.SyscallConn()
	if err != nil {
		return unknownWriters
	}
	_ = conn.Control(func(fd uintptr) {
		var stat unix.Statfs_t
		if unix.Fstatfs(int(fd), &stat) != nil || !filewatch.IsLocal(stat) {
			return
		}
		switch _, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK); {
		case err == nil:
			_, _ = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK)
			answer = noWriters
		case errors.Is(err, unix.EAGAIN):
			answer = someWriters
		}
	})
	return answer
}

// mayClose reports whether nothing more is expected of part number i of t, which has
// been rotated away and read to its end.
func (r *reader) mayClose(t *tail, i int) bool {
	p, patience := t.parts[i], r.source.patience
	quiet := time.Since(p.grown)
	if quiet < patience.unwritten {
		delete(r.kept, p)
		return false
	}
	switch r.source.writers(p.file) {
	case noWriters:
		return true
	case unknownWriters:
		limit := patience.alone
		if i < len(t.parts)-1 {
			limit = patience.replaced
		}
		if quiet >= limit {
			r.source.metrics.abandoned.Inc()
			return true
		}
	}
	r.kept[p] = struct{}{}
	return false
}

// finish reads the last line of part number i of t, which may have no end, and
// closes it.
func (r *reader) finish(t *tail, i int) {
	p := t.parts[i]
	p.finish(int(r.source.cfg.MaxLineSize), r.emitter(t, p))
	r.remember(t, p.mark())
	r.dropPart(t, i)
}

// closeExcess closes quiet files of which there are too many.
func (r *reader) closeExcess() {
	for len(r.kept) > r.source.patience.files {
		var p *part
		for other := range r.kept {
			if p == nil || other.grown.Before(p.grown) {
				p = other
			}
		}
		r.source.metrics.abandoned.Inc()
		r.source.quiet.Warn(r.source.opts.Logger, "kept", "too many rotated or removed files are open in programs that may write to them: one is closed, and what is added to it is not read; have those programs reopen their logs",
			"path", p.tail.path, "limit", r.source.patience.files)
		r.finish(p.tail, slices.Index(p.tail.parts, p))
	}
}

// back makes a file that was rotated away the current one of t again, if the path
// leads to it once more, and reports whether it did.
func (r *reader) back(t *tail, id fileID) bool {
	i := slices.IndexFunc(t.parts, func(p *part) bool { return p.id == id })
	if i < 0 {
		return false
	}
	r.rotate(t)
	p := t.parts[i]
	t.parts = append(slices.Delete(t.parts, i, i+1), p)
	p.rotated = false
	delete(r.kept, p)
	r.touch(t)
	return true
}
