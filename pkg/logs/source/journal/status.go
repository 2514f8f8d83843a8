package journal

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"

	"collector/pkg/inspect"
	"collector/pkg/logs/source/journal/journalfile"
)

// The states of a folder, for people.
const (
	stateReading = "reading"
	stateMissing = "there is no journal"
	stateFailed  = "can't be read"
)

// tailState is what is told of the journal in a folder.
type tailState struct {
	state       string
	lines       uint64
	bytes       uint64
	dropped     uint64
	lost        uint64
	newest      time.Time // of the entries that were read
	behind      bool      // there is more to read
	lastError   string
	lastErrorAt time.Time
	refused     int // files that can't be read
}

// errorStays is how long damage that has been dealt with is shown as an error.
const errorStays = 15 * time.Minute

// SourceStatus is a snapshot of loki.source.journal.
type SourceStatus struct {
	Folders []FolderStatus
}

// FolderStatus is a snapshot of the reading of one folder.
type FolderStatus struct {
	Path        string
	State       string
	Lines       uint64
	Bytes       uint64
	Dropped     uint64    // entries that a rule drops
	Lost        uint64    // entries that could not be read
	Newest      time.Time // entry that was read; zero for none
	LagSeconds  float64
	LastError   string
	LastErrorAt time.Time
}

// Status returns a snapshot of all folders.
func (s *Source) Status() any { return SourceStatus{Folders: s.Folders()} }

// Folders is a snapshot of all folders, in the order of their paths.
func (s *Source) Folders() []FolderStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]FolderStatus, 0, len(s.tails))
	for _, path := range slices.Sorted(maps.Keys(s.tails)) {
		t := s.tails[path]
		f := FolderStatus{
			Path: path, State: t.state, Lines: t.lines, Bytes: t.bytes, Dropped: t.dropped, Lost: t.lost, Newest: t.newest,
			LastError: t.lastError, LastErrorAt: t.lastErrorAt,
		}
		if t.behind && !t.newest.IsZero() {
			f.LagSeconds = max(0, time.Since(t.newest).Seconds())
		}
		out = append(out, f)
	}
	return out
}

// LogTails is part of inspect.Tailer.
func (s *Source) LogTails() []inspect.LogTail {
	var out []inspect.LogTail
	for _, f := range s.Folders() {
		out = append(out, inspect.LogTail{
			Container: f.Path, State: f.State, Labels: map[string]map[string]string{"journal": s.labels.base},
			Lines: f.Lines, Bytes: f.Bytes, Dropped: f.Dropped, Cursor: f.Newest, LagSeconds: f.LagSeconds,
			Error: f.LastError, ErrorAt: f.LastErrorAt,
		})
	}
	return out
}

// tail calls change with the state of a folder, which it makes if need be.
func (s *Source) tail(f *folder, change func(*tailState)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tails[f.path]
	if t == nil {
		t = &tailState{state: stateReading}
		s.tails[f.path] = t
	}
	change(t)
}

func (s *Source) removeTail(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tails, path)
}

// setFolder says whether a folder can be read.
func (s *Source) setFolder(f *folder, err error) {
	s.tail(f, func(t *tailState) {
		switch {
		case err == nil && t.state != stateReading:
			t.state, t.lastError, t.lastErrorAt = stateReading, "", time.Time{}
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoJournal):
			t.state, t.lastError, t.lastErrorAt = stateMissing, err.Error(), time.Now()
		case err != nil:
			t.state, t.lastError, t.lastErrorAt = stateFailed, err.Error(), time.Now()
		}
	})
}

// fail keeps what is wrong with a file of a folder.
func (s *Source) fail(f *folder, path string, err error) {
	s.tail(f, func(t *tailState) { t.lastError, t.lastErrorAt = path+": "+err.Error(), s.now() })
}

func (s *Source) lose(f *folder, entries uint64) {
	s.tail(f, func(t *tailState) { t.lost += entries })
}

func (s *Source) dropped(f *folder) {
	s.tail(f, func(t *tailState) { t.dropped++ })
}

// reached says which entry was read last.
func (s *Source) reached(f *folder, e journalfile.Entry) {
	s.tail(f, func(t *tailState) { t.newest, t.behind = time.UnixMicro(int64(e.Realtime)), true })
}

// settle says that everything has been read and delivered.
func (s *Source) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tails {
		t.behind = false
		if t.state == stateReading && t.refused == 0 && s.now().Sub(t.lastErrorAt) > errorStays {
			t.lastError, t.lastErrorAt = "", time.Time{}
		}
	}
}

// setRefused says how many files of a folder can't be read.
func (s *Source) setRefused(f *folder, n int) {
	s.tail(f, func(t *tailState) { t.refused = n })
}

// delivered counts lines that the sinks have accepted.
func (s *Source) delivered(lines []batchLine) {
	for i, l := range lines {
		s.tail(l.folder, func(t *tailState) {
			t.lines++
			t.bytes += uint64(size(lines, i))
		})
	}
}
