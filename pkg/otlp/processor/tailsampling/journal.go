package tailsampling

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"collector/pkg/durable"
	"collector/pkg/pipeline"
)

// The journal is a folder of files, named by a number that grows, in hexadecimal. A file
// is a run of records, in little-endian order:
//
//	┌─────────┬─────────┬────────┬──────────┬─────────┬─────────┬─────────────────┐
//	│ length  │ CRC-32C │ kind   │ trace id │ number  │ spans   │ an OTLP request │
//	│ 4 bytes │ 4 bytes │ 1 byte │ 16 bytes │ 8 bytes │ 4 bytes │                 │
//	└─────────┴─────────┴────────┴──────────┴─────────┴─────────┴─────────────────┘
//
// The length counts, and the checksum covers, what comes after the checksum. A record of
// kind spans holds some spans of a trace; their numbers grow. A record of kind done has
// no spans and, instead of a request, another number, in 8 bytes: from that one up to its
// own, the records of the trace are no longer needed. A file ends at a record that is torn
// or damaged.
const (
	frameSize  = 8
	headerSize = 1 + 16 + 8 + 4
	kindSpans  = 1
	kindDone   = 2

	// segmentSize is how many bytes a file has before another begins.
	segmentSize = 16 << 20
	// journalLimit is how many bytes all files may have. Beyond, requests are refused.
	journalLimit = 1 << 30
	suffix       = ".spans"
)

type traceID [16]byte

// record is some spans of a trace, as a request of their own.
type record struct {
	trace traceID
	spans int
	data  []byte
}

// ref is where a record's request is.
type ref struct {
	in     *segment
	number uint64
	at     int64
	length int32
	spans  int32
}

// segment is a file.
type segment struct {
	file    *os.File
	size    int64
	waiting int // records that are still needed
}

// journal is for one goroutine at a time, but for read.
type journal struct {
	dir      string
	segments []*segment // the oldest first
	current  *segment   // is appended to; nil: the next record begins another
	file     uint64     // number of the next file
	record   uint64     // number of the next record
	size     int64      // of all files
	records  int        // that are needed
	dirty    []*os.File // that were written to since the last sync
}

// kept is a trace that the journal has from before.
type kept struct {
	trace traceID
	refs  []ref
}

// openJournal returns the traces of before, in the order in which they came, and how many
// files are damaged.
func openJournal(dir string) (j *journal, traces []kept, damaged int, err error) {
	if err := durable.Own(dir); err != nil {
		return nil, nil, 0, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix)) // in order
	if err != nil {
		return nil, nil, 0, err
	}
	j = &journal{dir: dir}
	refs := map[traceID][]ref{}
	for _, name := range names {
		whole, err := j.load(name, func(id traceID, r ref) { refs[id] = append(refs[id], r) }, func(id traceID, first, last uint64) {
			refs[id] = j.without(refs[id], first, last)
		})
		if err != nil {
			return nil, nil, 0, fmt.Errorf("read held spans: %w", errors.Join(err, j.close()))
		}
		if !whole {
			damaged++
		}
	}
	for id, of := range refs {
		if len(of) > 0 {
			traces = append(traces, kept{id, of})
		}
	}
	slices.SortFunc(traces, func(a, b kept) int { return cmp.Compare(a.refs[0].number, b.refs[0].number) })
	return j, traces, damaged, j.trim()
}

// without frees the records of those numbers, and returns the others. refs are of a trace,
// in order.
func (j *journal) without(refs []ref, first, last uint64) []ref {
	from, _ := slices.BinarySearchFunc(refs, first, func(r ref, n uint64) int { return cmp.Compare(r.number, n) })
	to := from
	for to < len(refs) && refs[to].number <= last {
		to++
	}
	j.free(refs[from:to])
	if from == 0 {
		return refs[to:] // as most are: nothing is moved
	}
	return slices.Delete(refs, from, to)
}

// load reads a file: held is called with each record of spans, done with the first and the
// last number of those that are done. whole reports that the file is not damaged.
func (j *journal) load(name string, held func(traceID, ref), done func(id traceID, first, last uint64)) (whole bool, err error) {
	var number uint64
	if _, err := fmt.Sscanf(filepath.Base(name), "%x", &number); err == nil && number >= j.file {
		j.file = number + 1
	}
	f, err := durable.Open(name)
	if err != nil {
		return false, err
	}
	s := &segment{file: f}
	j.segments = append(j.segments, s)
	data, err := durable.ReadFile(name, 0)
	if err != nil {
		return false, err
	}
	s.size = int64(len(data))
	j.size += s.size
	at := 0
	for len(data)-at >= frameSize+headerSize {
		n, sum := int64(binary.LittleEndian.Uint32(data[at:])), binary.LittleEndian.Uint32(data[at+4:])
		if n < headerSize || n > int64(len(data)-at-frameSize) {
			return false, nil
		}
		body := data[at+frameSize : at+frameSize+int(n)]
		if durable.Checksum(0, body) != sum {
			return false, nil
		}
		r := ref{
			number: binary.LittleEndian.Uint64(body[17:]), spans: int32(binary.LittleEndian.Uint32(body[25:])),
			at: int64(at + frameSize + headerSize), length: int32(n - headerSize),
		}
		j.record = max(j.record, r.number+1)
		switch id := traceID(body[1:17]); {
		case body[0] == kindSpans:
			r.in = s
			s.waiting++
			j.records++
			held(id, r)
		case body[0] == kindDone && len(body) == headerSize+8:
			done(id, binary.LittleEndian.Uint64(body[headerSize:]), r.number)
		}
		at += frameSize + int(n)
	}
	return at == len(data), nil
}

// append writes records, all or none, with one call, so that they survive the death of
// the process.
func (j *journal) append(records []record) ([]ref, error) {
	size := 0
	for _, r := range records {
		size += frameSize + headerSize + len(r.data)
	}
	if j.size+int64(size) > journalLimit {
		return nil, fmt.Errorf("hold spans: the journal has reached its limit of %d bytes: %w", journalLimit, pipeline.ErrFull)
	}
	s, err := j.writable()
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, size)
	refs := make([]ref, 0, len(records))
	for _, r := range records {
		to := ref{in: s, number: j.record + uint64(len(refs)), length: int32(len(r.data)), spans: int32(r.spans)}
		b = appendRecord(b, kindSpans, r.trace, to.number, r.spans, r.data)
		to.at = s.size + int64(len(b)-len(r.data))
		refs = append(refs, to)
	}
	if err := j.write(b); err != nil {
		return nil, err
	}
	s.waiting += len(records)
	j.records += len(records)
	j.record += uint64(len(records))
	return refs, nil
}

func appendRecord(b []byte, kind byte, id traceID, number uint64, spans int, data []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, frameSize)...)
	b = append(b, kind)
	b = append(b, id[:]...)
	b = binary.LittleEndian.AppendUint64(b, number)
	b = binary.LittleEndian.AppendUint32(b, uint32(spans))
	b = append(b, data...)
	body := b[start+frameSize:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(body)))
	binary.LittleEndian.PutUint32(b[start+4:], durable.Checksum(0, body))
	return b
}

// writable is the file that is appended to, which has room.
func (j *journal) writable() (*segment, error) {
	if j.current != nil && j.current.size < segmentSize {
		return j.current, nil
	}
	f, err := durable.OpenFile(filepath.Join(j.dir, fmt.Sprintf("%016x%s", j.file, suffix)), os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND)
	if err != nil {
		return nil, fmt.Errorf("hold spans: %w", err)
	}
	j.file++
	j.current = &segment{file: f}
	j.segments = append(j.segments, j.current)
	return j.current, nil
}

func (j *journal) write(b []byte) error {
	n, err := j.current.file.Write(b)
	j.current.size += int64(n)
	j.size += int64(n)
	if err != nil {
		return errors.Join(fmt.Errorf("hold spans: %w", err), j.undo(int64(n)))
	}
	if !slices.Contains(j.dirty, j.current.file) {
		j.dirty = append(j.dirty, j.current.file)
	}
	return nil
}

// undo removes the last n bytes of current, which are of a write that failed: what comes
// behind a torn record would not be read, and its sender sends all of it again. If that
// fails as well, the next record is in another file.
func (j *journal) undo(n int64) error {
	s := j.current
	err := s.file.Truncate(s.size - n)
	if err == nil {
		s.size -= n
		j.size -= n
		return nil
	}
	j.current = nil
	if s.size > n {
		return err // there are records before it
	}
	j.segments = slices.DeleteFunc(j.segments, func(of *segment) bool { return of == s })
	j.size -= s.size
	return errors.Join(err, os.Remove(s.file.Name()), s.file.Close())
}

// done notes that records of a trace, in order and with none between them that is still
// needed, are no longer needed. Files of which nothing is needed are removed, in order: a
// later one may say of an earlier one what is done.
func (j *journal) done(id traceID, refs []ref) error {
	j.free(refs)
	if len(refs) == 0 || j.records == 0 {
		return j.trim() // of all files
	}
	if _, err := j.writable(); err != nil {
		return errors.Join(err, j.trim())
	}
	first := binary.LittleEndian.AppendUint64(nil, refs[0].number)
	return errors.Join(j.write(appendRecord(nil, kindDone, id, refs[len(refs)-1].number, 0, first)), j.trim())
}

func (j *journal) free(refs []ref) {
	for _, r := range refs {
		r.in.waiting--
	}
	j.records -= len(refs)
}

// trim removes the oldest files, as far as nothing of them is needed.
func (j *journal) trim() error {
	var errs []error
	for len(j.segments) > 0 && j.segments[0].waiting == 0 {
		s := j.segments[0]
		if s == j.current {
			j.current = nil
		}
		j.segments = j.segments[1:]
		j.size -= s.size
		j.dirty = slices.DeleteFunc(j.dirty, func(f *os.File) bool { return f == s.file })
		errs = append(errs, os.Remove(s.file.Name()), s.file.Close())
	}
	return errors.Join(errs...)
}

// read returns a record's request. It may be called at any time until the record is done.
func (r ref) read() ([]byte, error) {
	data := make([]byte, r.length)
	if _, err := r.in.file.ReadAt(data, r.at); err != nil {
		return nil, fmt.Errorf("read held spans: %w", err)
	}
	return data, nil
}

// unsynced returns the files that must be synced, which the caller does.
func (j *journal) unsynced() []*os.File {
	files := j.dirty
	j.dirty = nil
	return files
}

// close syncs what is left: all files, as a sync may have begun and not reached each.
func (j *journal) close() error {
	var errs []error
	for _, s := range j.segments {
		errs = append(errs, s.file.Sync(), s.file.Close())
	}
	return errors.Join(errs...)
}
