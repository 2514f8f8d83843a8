package journal

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"collector/pkg/durable"
	"collector/pkg/logs/source/journal/journalfile"
	"collector/pkg/logs/source/positions"
)

const (
	filePrefix = "file "
	cursorKey  = "cursor"
)

// mark is what is stored of a file.
type mark struct {
	journalfile.Position
	Done   bool   `json:",omitempty"` // archived, and read to its end
	Root   string `json:",omitempty"`
	Folder string `json:",omitempty"` // below Root
	// Of a file in memory, which journald copies to disk when it can:
	Volatile bool   `json:",omitempty"`
	Boot     string `json:",omitempty"`
	First    uint64 `json:",omitempty"` // monotonic time of its first entry, in that boot
	Last     uint64 `json:",omitempty"` // and of the last that was read
	Time     uint64 `json:",omitempty"` // of the last that was read

	missing time.Time // since when the file is not there, as far as is known; zero: it is
}

// last is the newest entry that was delivered.
type last struct {
	Cursor string // as systemd writes it
	Time   int64  // that its line got
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(b)
}

// readMarks decodes the positions of files; what can't be read is no position.
func readMarks(store *positions.Store) map[journalfile.ID]*mark {
	out := make(map[journalfile.ID]*mark)
	for key, value := range store.All() {
		hex, ok := strings.CutPrefix(key, filePrefix)
		if !ok {
			continue
		}
		id, err := journalfile.ParseID(hex)
		m := new(mark)
		if err == nil && json.Unmarshal([]byte(value), m) == nil {
			out[id] = m
		}
	}
	return out
}

// alloyFile is where Alloy keeps positions, in the same directory.
const alloyFile = "positions.yml"

// importCursor reads the cursor that Alloy left in the component's directory or, if
// it left none, the one that legacy_position names. The error fs.ErrNotExist says
// that there is none.
func (s *Source) importCursor() (c journalfile.Cursor, from string, err error) {
	from = filepath.Join(s.opts.Dir, alloyFile)
	data, err := durable.ReadFile(from, 0)
	name := s.opts.ID
	if l := s.cfg.LegacyPosition; l != nil && (err != nil || len(data) == 0) {
		from, name = l.File, l.Name
		data, err = os.ReadFile(l.File)
	}
	if err != nil {
		return c, from, err
	}
	text, err := findCursor(data, name)
	if err != nil {
		return c, from, err
	}
	c, err = journalfile.ParseCursor(text)
	return c, from, err
}

// findCursor finds the cursor of a job in a file of positions.
func findCursor(data []byte, name string) (string, error) {
	found := make(map[string]string)
	err := positions.EachOfAlloy(data, func(path, _, value string) { found[path] = value })
	if err != nil {
		return "", err
	}
	keys := []string{"cursor-" + name, "journal-" + name} // Promtail has had both
	i := slices.IndexFunc(keys, func(key string) bool { return found[key] != "" })
	if i < 0 {
		return "", fs.ErrNotExist
	}
	return found[keys[i]], nil
}

// startFrom decides where to start in files without a stored position: after a cursor, if
// there is one.
func (r *reader) startFrom() {
	s := r.source
	if value, ok := r.store.Get(cursorKey); ok {
		var l last
		if json.Unmarshal([]byte(value), &l) == nil {
			r.time = l.Time
			if c, err := journalfile.ParseCursor(l.Cursor); err == nil {
				r.from, r.last = &c, c
			}
		}
	}
	if !r.store.Fresh() || r.from != nil {
		return
	}
	c, from, err := s.importCursor()
	switch {
	case err == nil:
		s.opts.Logger.Info("continuing from the position of another program", "file", from, "cursor", c.String())
		r.from, r.imported = &c, true
		r.last = c
		r.store.Put(map[string]string{cursorKey: encode(last{Cursor: c.String()})})
	case !errors.Is(err, fs.ErrNotExist):
		s.metrics.damaged.Inc()
		s.opts.Logger.Error("cannot import a position; entries are read that are not older than max_age", "file", from, "err", err, "max_age", s.cfg.MaxAge)
	}
}

// begin sets the position in a file that has been opened.
func (r *reader) begin(f *file) {
	h := f.j.Header()
	if m := r.marks[h.FileID]; m != nil {
		f.mark = *m
		f.j.Resume(m.Position)
		return
	}
	c := r.from
	switch {
	case f.folder.known: // it has just been made
	case c == nil:
		f.j.SeekAfter(func(e journalfile.Entry) bool { return e.Realtime < r.since })
	case c.SeqnumID == h.SeqnumID && r.imported && c.Seqnum > 0:
		f.j.SeekAfter(func(e journalfile.Entry) bool { return e.Seqnum <= c.Seqnum })
	case c.SeqnumID == h.SeqnumID:
		// Older versions of journald gave numbers twice when it was restarted.
		f.j.SeekAfter(func(e journalfile.Entry) bool { return e.Seqnum <= c.Seqnum && e.Realtime <= c.Realtime })
	case r.imported && c.Realtime > 0:
		f.j.SeekAfter(func(e journalfile.Entry) bool { return e.Realtime <= c.Realtime })
	default:
		// It is another machine's, or has been made since, with the clock set back.
		since := r.since
		if c.Realtime > 0 {
			since = min(since, c.Realtime)
		}
		f.j.SeekAfter(func(e journalfile.Entry) bool { return e.Realtime < since })
	}
	f.mark.Position = f.j.Position()
	f.touched = f.mark.Entries > 0
}
