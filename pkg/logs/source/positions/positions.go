// Package positions keeps how far sources have read.
//
// A file has one line per change; the last line of a key counts:
//
//	1 "<key>" "<value>" <crc>
//	1 "<key>" - <crc>            the key is removed
//
// The checksum is CRC-32C of what precedes its blank, in 8 hexadecimal
// digits. A damaged line costs that line. Changes that belong together are
// written with one call, so that they survive the death of the process.
package positions

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/backoff"
	"collector/pkg/durable"
)

const (
	fileName     = "positions"
	previousName = "positions.previous"
	// compactAbove is the size under which the file is left to grow, and how much it
	// grows after it couldn't be replaced.
	compactAbove = 256 << 10
	// roomEvery is how often a write is retried for which a full disk has no room.
	roomEvery = 250 * time.Millisecond
)

// Options are what the owner of a Store gives to it.
type Options struct {
	Logger  *slog.Logger
	Damaged prometheus.Counter // files that were damaged
	Failed  prometheus.Counter // changes that could not be written
	// Left has positions that a fresh store takes over, and one that others had taken
	// over takes back.
	Left Left
	// Other is a file in the folder in which another program may have left
	// positions of this component; then a fresh store takes over none.
	Other string
}

// Store is the positions of one component. It is safe for concurrent use.
type Store struct {
	dir   string
	o     Options
	dirty chan struct{} // has a token when a sync is due

	syncDir func(dir string) error

	mu      sync.Mutex
	lock    *os.File // keeps others out of dir; guarded by mu
	file    *os.File // nil while there is none; guarded by mu
	size    int64    // of file; guarded by mu
	limit   int64    // the size under which file is left to grow; guarded by mu
	torn    bool     // the last write may have left half a line; guarded by mu
	failing bool     // the last write failed; guarded by mu
	entries map[string]string
	pending map[string]bool // changed, but not written; guarded by mu
	damaged bool            // positions were lost
	fresh   bool            // there was no file
}

// Open reads the positions in dir. It fails if the folder is in use by another component.
// Positions that can't be read are lost, which is logged, and those that can't be written
// are retried.
func Open(dir string, o Options) (*Store, error) {
	s := &Store{
		dir: dir, o: o, dirty: make(chan struct{}, 1), limit: compactAbove, syncDir: durable.SyncDir,
		entries: make(map[string]string), pending: make(map[string]bool),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.lockDir(); durable.Refused(err) {
		return nil, err
	}
	s.load()
	_, err := os.Lstat(filepath.Join(dir, cmp.Or(o.Other, fileName)))
	if s.fresh && errors.Is(err, fs.ErrNotExist) || TakenOver(dir) {
		s.takeOver()
	}
	Back(dir)
	s.report(s.compact())
	return s, nil
}

// lockDir makes the folder and keeps others out of it. If it can't be made, as on a full
// disk, there is nothing to lock, and compact retries. It holds mu.
func (s *Store) lockDir() error {
	if s.lock != nil {
		if _, err := os.Lstat(filepath.Join(s.dir, durable.LockName)); !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		_ = s.lock.Close() // somebody has removed the folder
		s.lock = nil
	}
	if err := durable.Own(s.dir); err != nil {
		return fmt.Errorf("open positions: %w", err)
	}
	lock, err := durable.Lock(s.dir)
	if err != nil {
		return fmt.Errorf("open positions in %s: %w", s.dir, err)
	}
	s.lock = lock
	return nil
}

// load reads the file, and the previous one if that is missing or damaged.
func (s *Store) load() {
	path := filepath.Join(s.dir, fileName)
	data, err := durable.ReadFile(path, 0)
	if errors.Is(err, fs.ErrNotExist) {
		s.fresh = !s.loadPrevious()
		return
	}
	bad := 0
	if err == nil {
		if bad = checkLines(data); bad == 0 {
			s.apply(data)
			return
		}
		err = fmt.Errorf("%d lines are damaged", bad)
	}
	s.damaged = true
	s.o.Damaged.Inc()
	aside := path + ".damaged"
	if renameErr := os.Rename(path, aside); renameErr != nil {
		aside = ""
	}
	s.loadPrevious()
	s.apply(data)
	s.o.Logger.Error("the file of positions is damaged; what is readable is used", "file", path, "err", err, "put_aside", aside, "positions", len(s.entries))
}

func (s *Store) loadPrevious() bool {
	data, err := durable.ReadFile(filepath.Join(s.dir, previousName), 0)
	if err == nil {
		s.apply(data)
	}
	return err == nil
}

// checkLines counts the damaged lines. A last line without its end was being
// written when the process or the machine died: nothing that came after it is
// lost, and so it does not count.
func checkLines(data []byte) (bad int) {
	for len(data) > 0 {
		line, rest, ended := bytes.Cut(data, []byte("\n"))
		data = rest
		if _, _, _, err := parseLine(string(line)); err != nil && len(line) > 0 && ended {
			bad++
		}
	}
	return bad
}

func (s *Store) apply(data []byte) {
	for len(data) > 0 {
		line, rest, ended := bytes.Cut(data, []byte("\n"))
		data = rest
		key, value, removed, err := parseLine(string(line))
		switch {
		case err != nil || !ended:
		case removed:
			delete(s.entries, key)
		default:
			s.entries[key] = value
		}
	}
}

// Fresh reports whether there was no file of positions when the store was opened.
func (s *Store) Fresh() bool { return s.fresh }

// Lost reports whether positions were lost when the store was opened.
func (s *Store) Lost() bool { return s.damaged }

// Get returns the value of a key.
func (s *Store) Get(key string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.entries[key]
	return v, ok
}

// All returns all values by key.
func (s *Store) All() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.entries)
}

// Put sets values. What can't be written now is kept and written later.
func (s *Store) Put(values map[string]string) { _ = s.put(values) }

// PutBefore sets values that have to be stored before something else is done: it waits
// for room on a disk that is full. Where positions can't be stored at all, they are kept
// as by Put. It fails only when ctx ends.
func (s *Store) PutBefore(ctx context.Context, values map[string]string) error {
	for err := s.put(values); isFull(err); err = s.put(nil) {
		if err := backoff.Sleep(ctx, roomEvery, nil); err != nil {
			return err
		}
	}
	return nil
}

// isFull reports whether there was no room on a disk.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

func (s *Store) put(values map[string]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, value := range values {
		if old, ok := s.entries[key]; ok && old == value {
			continue
		}
		s.entries[key] = value
		s.pending[key] = true
	}
	return s.write()
}

// Delete removes keys.
func (s *Store) Delete(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		if _, ok := s.entries[key]; ok {
			delete(s.entries, key)
			s.pending[key] = true
		}
	}
	_ = s.write()
}

// Dirty has a token when Sync is due.
func (s *Store) Dirty() <-chan struct{} { return s.dirty }

// write appends what is pending. It holds mu.
func (s *Store) write() error {
	if len(s.pending) == 0 {
		return nil
	}
	select {
	case s.dirty <- struct{}{}:
	default:
	}
	err := s.append()
	s.report(err)
	return err
}

func (s *Store) append() error {
	if s.file == nil || s.size > s.limit && s.size > 4*s.liveSize() {
		// A disk may have room for a line, and none for another file.
		if err := s.compact(); s.file == nil || len(s.pending) == 0 {
			return err
		}
		s.limit = s.size + compactAbove
	}
	var data []byte
	if s.torn {
		data = append(data, '\n')
	}
	for _, key := range slices.Sorted(maps.Keys(s.pending)) {
		value, ok := s.entries[key]
		data = appendLine(data, key, value, !ok)
	}
	n, err := s.file.Write(data)
	s.size += int64(n)
	s.torn = err != nil && (n > 0 || s.torn)
	if err != nil {
		return fmt.Errorf("write positions: %w", err)
	}
	clear(s.pending)
	return nil
}

func (s *Store) liveSize() (size int64) {
	for key, value := range s.entries {
		size += int64(len(key) + len(value) + 20)
	}
	return size
}

// compact writes a new file with what counts. The old one stays until the new
// one is on disk, and one older is kept besides. It holds mu.
func (s *Store) compact() error {
	if err := s.lockDir(); err != nil {
		return err
	}
	data := appendAll(nil, s.entries)
	path := filepath.Join(s.dir, fileName)
	file, err := durable.Create(path+".new", data)
	if err == nil {
		if err = keepPrevious(path, filepath.Join(s.dir, previousName)); err == nil {
			err = os.Rename(path+".new", path)
		}
		if err != nil {
			_ = file.Close()
		}
	}
	if err != nil {
		_ = os.Remove(path + ".new") // what it takes may be what a full disk lacks
		return fmt.Errorf("write positions: %w", err)
	}
	if s.file != nil {
		_ = s.file.Close()
	}
	s.file, s.size, s.limit, s.torn = file, int64(len(data)), compactAbove, false
	clear(s.pending)
	if err := s.syncDir(s.dir); err != nil {
		return fmt.Errorf("write positions: %w", err)
	}
	return nil
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

// Sync writes what could not be written before, and brings the file to disk.
func (s *Store) Sync() {
	s.mu.Lock()
	if len(s.pending) > 0 {
		_ = s.write()
	}
	file := s.file
	s.mu.Unlock()
	if file == nil {
		return
	}
	// A compaction may close the file now: it has synced the new one.
	if err := file.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		s.mu.Lock()
		s.report(fmt.Errorf("sync positions: %w", err))
		s.mu.Unlock()
	}
}

// report logs the first of a row of failures, and the end of the row. It holds mu.
func (s *Store) report(err error) {
	if err != nil {
		s.o.Failed.Inc()
		switch {
		case s.failing:
		case isFull(err):
			s.o.Logger.Error("the disk is full: positions are not stored, and nothing is read until there is room", "dir", s.dir, "err", err)
		default:
			s.o.Logger.Error("positions are not stored: after a crash, lines would be sent again", "dir", s.dir, "err", err)
		}
	} else if s.failing {
		s.o.Logger.Info("positions are stored again", "dir", s.dir)
	}
	s.failing = err != nil
}

// Close brings the positions to disk and lets others into the folder.
func (s *Store) Close() {
	s.Sync()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
	if s.lock != nil {
		_ = s.lock.Close()
		s.lock = nil
	}
}

func appendAll(dst []byte, entries map[string]string) []byte {
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		dst = appendLine(dst, key, entries[key], false)
	}
	return dst
}

func appendLine(dst []byte, key, value string, removed bool) []byte {
	start := len(dst)
	dst = strconv.AppendQuote(append(dst, "1 "...), key)
	dst = append(dst, ' ')
	if removed {
		dst = append(dst, '-')
	} else {
		dst = strconv.AppendQuote(dst, value)
	}
	return fmt.Appendf(dst, " %08x\n", durable.Checksum(0, dst[start:]))
}

func parseLine(line string) (key, value string, removed bool, err error) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 || fmt.Sprintf("%08x", durable.Checksum(0, []byte(line[:i]))) != line[i+1:] {
		return "", "", false, errors.New("wrong checksum")
	}
	rest, ok := strings.CutPrefix(line[:i], "1 ")
	if !ok {
		return "", "", false, errors.New("unknown format")
	}
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return "", "", false, err
	}
	if key, err = strconv.Unquote(quoted); err != nil {
		return "", "", false, err
	}
	rest = strings.TrimPrefix(rest[len(quoted):], " ")
	if rest == "-" {
		return key, "", true, nil
	}
	value, err = strconv.Unquote(rest)
	return key, value, false, err
}
