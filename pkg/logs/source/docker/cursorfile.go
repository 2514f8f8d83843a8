package docker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"collector/pkg/durable"
	"collector/pkg/logs/source/positions"
)

const (
	cursorFile   = "cursors"
	previousFile = "cursors.previous"
	// forgetAfter is how long the cursor of a container is kept after the
	// Engine said that it doesn't know the container.
	forgetAfter = 24 * time.Hour
	// rereadWindow bounds what is read again when cursors were lost: nothing
	// older than this before the damaged file was last written.
	rereadWindow = time.Hour
	// compactAbove is the size under which a cursor file is left to grow.
	compactAbove = 256 << 10
)

// cursorStore keeps the cursors of all containers in a file of one line per
// change; the last line of a container counts:
//
//	1 <container> <gone> <time> <lines> <out> <time> <lines> <out> <crc>
//
// The triples are the positions of stdout and stderr; gone is when the Engine
// said that the container doesn't exist, in seconds, or 0; the checksum is
// CRC-32C of what precedes its blank, in 8 hexadecimal digits. A damaged
// line costs that line. A change is written with one call, so that it
// survives the death of the process.
type cursorStore struct {
	dir     string
	logger  *slog.Logger
	metrics *metrics
	now     func() time.Time
	alloy   map[string]int64 // seconds by container, from Alloy's or Promtail's positions; read only
	dirty   chan struct{}    // has a token when a sync is due

	mu      sync.Mutex
	lock    *os.File // keeps others out of dir; guarded by mu
	file    *os.File // guarded by mu; nil while there is none
	size    int64    // of file; guarded by mu
	torn    bool     // the last write may have left half a line; guarded by mu
	entries map[string]cursorEntry
	pending map[string]bool // changed, but not written; guarded by mu
	floor   int64           // see rereadWindow; 0 for none; guarded by mu
	failing bool            // the last write failed; guarded by mu
}

type cursorEntry struct {
	cursor cursor
	gone   int64 // seconds since the epoch; 0 while the container exists
}

// openCursorStore reads what is in dir, and the positions of a Promtail at legacy, which
// may be empty. Without cursors of its own, or if others have taken those over, it takes
// over those that were left. It fails if the folder is in use by another component.
// Cursors that can't be read are lost, which is logged, and those that can't be written
// are retried.
func openCursorStore(dir, legacy string, left positions.Left, logger *slog.Logger, metrics *metrics, now func() time.Time) (*cursorStore, error) {
	s := &cursorStore{
		dir: dir, logger: logger, metrics: metrics, now: now,
		dirty:   make(chan struct{}, 1),
		entries: make(map[string]cursorEntry), pending: make(map[string]bool),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.lockDir(); durable.Refused(err) {
		return nil, err
	}
	_, err := os.Lstat(filepath.Join(dir, cursorFile))
	fresh := errors.Is(err, fs.ErrNotExist)
	s.load()
	_, err = os.Lstat(filepath.Join(dir, positionsFile))
	if fresh && len(s.entries) == 0 && errors.Is(err, fs.ErrNotExist) || positions.TakenOver(dir) {
		s.takeOver(left)
	}
	positions.Back(dir)
	s.alloy = s.readAlloyPositions(legacy)
	if err := s.compact(); err != nil {
		s.report(err)
	}
	return s, nil
}

// lockDir makes the folder and keeps others out of it. If it can't be made, as on a full
// disk, there is nothing to lock, and compact retries. It holds mu.
func (s *cursorStore) lockDir() error {
	if s.lock != nil {
		if _, err := os.Lstat(filepath.Join(s.dir, durable.LockName)); !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		s.lock.Close() // somebody has removed the folder
		s.lock = nil
	}
	if err := durable.Own(s.dir); err != nil {
		return fmt.Errorf("open log cursors: %w", err)
	}
	lock, err := durable.Lock(s.dir)
	if err != nil {
		return fmt.Errorf("open log cursors in %s: %w", s.dir, err)
	}
	s.lock = lock
	return nil
}

// load reads the cursor file, and the previous one if that is missing, empty or
// damaged. Without containers it is empty, so that this is no sign of damage.
func (s *cursorStore) load() {
	path := filepath.Join(s.dir, cursorFile)
	data, err := durable.ReadFile(path, 0)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(data) == 0 {
		s.loadPrevious()
		return
	}
	lines, bad := parseCursors(data)
	if err == nil && bad == 0 {
		s.apply(lines)
		return
	}
	if err == nil {
		err = fmt.Errorf("%d lines are damaged", bad)
	}
	s.metrics.cursorDamage.Inc()
	aside := path + ".damaged"
	if info, statErr := os.Lstat(path); statErr == nil {
		s.floor = info.ModTime().Add(-rereadWindow).UnixNano()
	}
	if renameErr := os.Rename(path, aside); renameErr != nil {
		aside = ""
	}
	s.loadPrevious()
	s.apply(lines)
	s.logger.Error("the file of log cursors is damaged; what is readable is used, the rest is read again",
		"file", path, "err", err, "put_aside", aside, "containers", len(s.entries))
}

func (s *cursorStore) loadPrevious() {
	data, err := durable.ReadFile(filepath.Join(s.dir, previousFile), 0)
	if err != nil {
		return
	}
	lines, _ := parseCursors(data)
	s.apply(lines)
}

func (s *cursorStore) apply(lines []cursorLine) {
	for _, l := range lines {
		s.entries[l.id] = l.cursorEntry
	}
}

// takeOver adds the cursors of components that are no longer in the configuration. It
// holds mu.
func (s *cursorStore) takeOver(left positions.Left) {
	positions.TakeOver(s.dir, left, cursorFile, func(contents []positions.Content) (inherited []byte, err error) {
		var parts []positions.Part[cursorEntry]
		for _, c := range contents {
			parts = append(parts, positions.Part[cursorEntry]{Entries: entriesOf(c.Positions), Inherited: entriesOf(c.Inherited)})
		}
		merged := positions.Merge(s.entries, parts)
		if len(merged) == 0 {
			return nil, fs.ErrNotExist // and what it had stays
		}
		s.entries = merged
		s.logger.Info("continuing from the cursors of components that are no longer in the configuration", "containers", len(s.entries), "components", len(parts))
		for id, e := range positions.Inherited(s.entries, parts) {
			inherited = appendCursorLine(inherited, id, e)
		}
		return inherited, s.compact()
	})
}

func entriesOf(data []byte) map[string]cursorEntry {
	s := &cursorStore{entries: make(map[string]cursorEntry)}
	lines, _ := parseCursors(data)
	s.apply(lines)
	return s.entries
}

// lookup returns where to continue reading a container.
func (s *cursorStore) lookup(id string) cursor {
	s.mu.Lock()
	e, ok := s.entries[id]
	seconds, adopted := s.alloy[id]
	floor := s.floor
	s.mu.Unlock()
	switch {
	case ok:
		return e.cursor
	case adopted:
		e.cursor = cursorAt(seconds * int64(time.Second))
	case floor > 0:
		e.cursor = cursorAt(floor)
	default:
		return e.cursor
	}
	s.put(id, e.cursor)
	return e.cursor
}

// put records that the sinks have accepted everything up to c.
func (s *cursorStore) put(id string, c cursor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change(id, cursorEntry{cursor: c})
}

// markGone records that the Engine doesn't know the container.
func (s *cursorStore) markGone(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[id]; ok && e.gone == 0 {
		e.gone = s.now().Unix()
		s.change(id, e)
	}
}

// existing returns the containers of which the Engine has not said that they
// don't exist.
func (s *cursorStore) existing() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id, e := range s.entries {
		if e.gone == 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// refresh rewrites the file, without the cursors of containers that no longer exist for
// long. What it held becomes the previous copy, which cursors fall back to when the file
// is lost, so it must not get too old.
func (s *cursorStore) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report(s.compact())
}

func (s *cursorStore) expired(e cursorEntry) bool {
	return e.gone != 0 && e.gone < s.now().Add(-forgetAfter).Unix()
}

// change sets and stores an entry. It holds mu.
func (s *cursorStore) change(id string, e cursorEntry) {
	s.entries[id] = e
	s.pending[id] = true
	if !s.failing { // else sync retries, once a second
		s.report(s.write())
	}
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// write appends what is pending. It holds mu.
func (s *cursorStore) write() error {
	if s.file == nil {
		return s.compact()
	}
	var buf []byte
	if s.torn {
		buf = append(buf, '\n')
	}
	for id := range s.pending {
		buf = appendCursorLine(buf, id, s.entries[id])
	}
	if len(buf) == 0 {
		return nil
	}
	n, err := s.file.Write(buf)
	s.size += int64(n)
	if err != nil {
		s.torn = s.torn || n > 0
		return fmt.Errorf("write log cursors: %w", err)
	}
	s.torn = false
	clear(s.pending)
	if s.size > compactAbove && s.size > 8*s.liveSize() {
		return s.compact()
	}
	return nil
}

func (s *cursorStore) liveSize() int64 { return int64(len(s.entries)) * 256 }

// compact writes all cursors into a new file and keeps the old one as the
// previous. Containers that no longer exist for long are omitted. It holds mu.
func (s *cursorStore) compact() (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("rewrite log cursors: %w", err)
		}
	}()
	if err := s.lockDir(); err != nil {
		return err
	}
	var buf []byte
	for id, e := range s.entries {
		if s.expired(e) {
			delete(s.entries, id)
			continue
		}
		buf = appendCursorLine(buf, id, e)
	}
	path := filepath.Join(s.dir, cursorFile)
	f, err := durable.Create(path+".new", buf)
	if err != nil {
		return err
	}
	if err := keepPrevious(path, filepath.Join(s.dir, previousFile)); err != nil {
		f.Close()
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		f.Close()
		return err
	}
	if s.file != nil {
		s.file.Close()
	}
	s.file, s.size, s.torn = f, int64(len(buf)), false
	clear(s.pending)
	return durable.SyncDir(s.dir)
}

// keepPrevious makes previous another name of path, so that at no moment both
// are missing. Without a path, previous stays what it is.
func keepPrevious(path, previous string) error {
	link := previous + ".new"
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch err := os.Link(path, link); {
	case err == nil:
		return os.Rename(link, previous)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return os.Rename(path, previous) // a file system without links
}

// sync writes what could not be written before, and brings the file to disk.
func (s *cursorStore) sync() {
	s.mu.Lock()
	if len(s.pending) > 0 {
		s.report(s.write())
	}
	file := s.file
	if s.failing {
		select {
		case s.dirty <- struct{}{}:
		default:
		}
	}
	s.mu.Unlock()
	if file == nil {
		return
	}
	// A compaction may close the file in the meantime: it has synced the new one.
	if err := file.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		s.mu.Lock()
		s.report(fmt.Errorf("sync log cursors: %w", err))
		s.mu.Unlock()
	}
}

// report logs the first of a row of failures, and the end of the row. It holds mu.
func (s *cursorStore) report(err error) {
	if err != nil {
		s.metrics.cursorErrors.Inc()
		if !s.failing {
			s.logger.Error("log cursors are not stored: after a crash, lines would be sent again", "dir", s.dir, "err", err)
		}
	} else if s.failing {
		s.logger.Info("log cursors are stored again", "dir", s.dir)
	}
	s.failing = err != nil
}

func (s *cursorStore) close() {
	s.refresh()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
	if s.lock != nil {
		s.lock.Close()
		s.lock = nil
	}
}

type cursorLine struct {
	id string
	cursorEntry
}

func appendCursorLine(dst []byte, id string, e cursorEntry) []byte {
	start := len(dst)
	dst = append(dst, "1 "...)
	dst = append(dst, id...)
	dst = strconv.AppendInt(append(dst, ' '), e.gone, 10)
	for _, p := range e.cursor {
		dst = strconv.AppendInt(append(dst, ' '), p.Time, 10)
		dst = strconv.AppendInt(append(dst, ' '), p.Lines, 10)
		dst = strconv.AppendInt(append(dst, ' '), p.Out, 10)
	}
	return fmt.Appendf(dst, " %08x\n", durable.Checksum(0, dst[start:]))
}

// parseCursors returns the good lines of a cursor file, in their order, and
// counts the bad ones. A last line without its end was being written when the
// power went; it counts as bad.
func parseCursors(data []byte) (lines []cursorLine, bad int) {
	for len(data) > 0 {
		line, rest, ended := bytes.Cut(data, []byte("\n"))
		data = rest
		if len(line) == 0 {
			continue
		}
		l, err := parseCursorLine(string(line))
		if err != nil || !ended {
			bad++
			continue
		}
		lines = append(lines, l)
	}
	return lines, bad
}

func parseCursorLine(line string) (l cursorLine, err error) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 {
		return l, io.ErrUnexpectedEOF
	}
	if fmt.Sprintf("%08x", durable.Checksum(0, []byte(line[:i]))) != line[i+1:] {
		return l, errors.New("wrong checksum")
	}
	fields := strings.Split(line[:i], " ")
	if len(fields) != 3+3*streamCount || fields[0] != "1" {
		return l, fmt.Errorf("unknown format %q", fields[0])
	}
	l.id = fields[1]
	numbers := make([]int64, len(fields)-2)
	for i, f := range fields[2:] {
		if numbers[i], err = strconv.ParseInt(f, 10, 64); err != nil {
			return l, err
		}
	}
	l.gone = numbers[0]
	for i := range l.cursor {
		l.cursor[i] = position{Time: numbers[1+3*i], Lines: numbers[2+3*i], Out: numbers[3+3*i]}
	}
	return l, nil
}
