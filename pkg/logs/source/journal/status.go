package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
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

// tailState is what is reported about the journal in a folder.
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
	cause, fix  string // of lastError
	refused     int    // files that can't be read
	cursor      string
	units       map[string]uint64 // lines by the unit; of further ones by otherUnits
}

// maxUnits bounds the units of which lines are counted.
const maxUnits = 200

// otherUnits is what further units are called.
const otherUnits = "others"

// unit counts a line of an entry by its unit, or what else sent it.
func (s *Source) unit(f *folder, fields []journalfile.Field) {
	name := ""
	for i := range fields {
		switch fields[i].Name {
		case "_SYSTEMD_UNIT":
			name = fields[i].Value
		case "SYSLOG_IDENTIFIER":
			if name == "" {
				name = fields[i].Value
			}
		}
	}
	name = cmp.Or(name, "no unit")
	s.tail(f, func(t *tailState) {
		if t.units == nil {
			t.units = make(map[string]uint64)
		}
		if _, known := t.units[name]; !known {
			if name = strings.Clone(strings.ToValidUTF8(name[:min(len(name), 256)], "\uFFFD")); len(t.units) >= maxUnits {
				name = otherUnits
			}
		}
		t.units[name]++
	})
}

// at says up to which entry everything is delivered.
func (s *Source) at(f *folder, cursor string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tails[f.path]; t != nil { // else it has been removed
		t.cursor = cursor
	}
}

// errorStays is how long handled damage is shown as an error.
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
	Cursor      string            // of the newest entry that was delivered
	Units       map[string]uint64 // lines that were read since the start, by unit
	Matches     string
	LastError   string
	LastErrorAt time.Time
	Cause       string // what LastError means
	Fix         string
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
			LastError: t.lastError, LastErrorAt: t.lastErrorAt, Cursor: t.cursor, Units: maps.Clone(t.units), Matches: s.cfg.Matches, Cause: t.cause, Fix: t.fix,
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
			Kind: inspect.TailJournal, Container: f.Path, State: f.State, Labels: map[string]map[string]string{"journal": s.labels.base},
			Lines: f.Lines, Bytes: f.Bytes, Dropped: f.Dropped, Cursor: f.Newest, LagSeconds: f.LagSeconds,
			Error: f.LastError, ErrorAt: f.LastErrorAt, Cause: f.Cause, Fix: f.Fix, About: f.Matches, ReadTo: f.Cursor, Units: f.Units, Lost: f.Lost,
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
			t.state, t.lastError, t.lastErrorAt, t.cause, t.fix = stateReading, "", time.Time{}, "", ""
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoJournal):
			t.state, t.lastError, t.lastErrorAt = stateMissing, err.Error(), time.Now()
		case err != nil:
			t.state, t.lastError, t.lastErrorAt = stateFailed, err.Error(), time.Now()
			t.cause, t.fix = explain(f.path, err)
		}
	})
}

// fail keeps what is wrong with a file of a folder.
func (s *Source) fail(f *folder, path string, err error) {
	cause, fix := explain(path, err)
	s.tail(f, func(t *tailState) {
		t.lastError, t.lastErrorAt, t.cause, t.fix = path+": "+err.Error(), s.now(), cause, fix
	})
}

// explain says what an error of a file or a folder means, and what to do about it; empty
// if the error needs no explanation.
func explain(path string, err error) (cause, fix string) {
	if !errors.Is(err, fs.ErrPermission) {
		return "", ""
	}
	cause = fmt.Sprintf("The collector, user %d, may not read %s.", os.Geteuid(), path)
	fix = "Add it to the group that may, systemd-journal or adm."
	if info, err := os.Stat(path); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			fix = fmt.Sprintf("Add it to group %d (group_add: [\"%d\"]).", stat.Gid, stat.Gid)
		}
	}
	return cause, fix
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
			t.lastError, t.lastErrorAt, t.cause, t.fix = "", time.Time{}, "", ""
		}
	}
}

// setRefused says how many files of a folder can't be read.
func (s *Source) setRefused(f *folder, n int) {
	s.tail(f, func(t *tailState) { t.refused = n })
}

// delivered counts lines that the sinks have accepted.
func (s *Source) delivered(b *batch) {
	for i, f := range b.from {
		s.tail(f, func(t *tailState) {
			t.lines++
			t.bytes += uint64(b.Size(i))
		})
	}
}
