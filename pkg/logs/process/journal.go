package process

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/durable"
	"collector/pkg/pipeline"
)

// The journal of loki.process is a file of records, each of them
//
//	┌──────────┬─────────┬─────────┬──────────────────────┐
//	│ C9 4A 52 01 │ length │ CRC-32C │ kind │ contents      │
//	│ 4 bytes  │ 4 bytes │ 4 bytes │ 1 byte, and the rest │
//	└──────────┴─────────┴─────────┴──────────────────────┘
//
// in little-endian order. The length and the checksum cover what follows
// them. A reader that meets anything else looks for the next four bytes that
// begin a record, so that damage costs the records that it touches. The
// contents are numbers of variable length, and strings after their length:
//
//	input   stream, goesOn, entries   came in; goesOn, 0 or 1: see call
//	flush   stage, stream             the stage gave up its block
//	done                              all that came of the records before was forwarded
//	held    stage, stream, block      what a stage holds, in a journal that is made again
//	recent  stream, marks             the last call of a stream, likewise
//	out     stream, entries           what is yet to be forwarded, likewise
//
// and two kinds for entries with more extracted than the labels of their stream:
//
//	input+  stream, goesOn, entries, and what was extracted from each
//	held+   stage, stream, block, and what was extracted from its first line
//
// A stage is a number among those that hold entries, in the order of the
// configuration.
const (
	journalMagic  = "\xc9JR\x01"
	journalHeader = len(journalMagic) + 8
	// journalGrowth is by how much the journal may grow before it is made again.
	journalGrowth = 8 << 20
)

// The kinds of records.
const (
	recordInput byte = iota + 1
	recordFlush
	recordDone
	recordHeld
	recordRecent
	recordOut
	recordInputExtracted
	recordHeldExtracted
)

// record is any record; its kind says which fields count.
type record struct {
	kind  byte
	stage int
	arrival
	goesOn bool
	held   Block
	marks  []mark
}

// journal is a file of records that is open for appending. It is not safe for
// concurrent use, but for the file that unsynced returns.
type journal struct {
	path    string
	file    *os.File
	size    int64
	limit   int64 // the size at which it must be made again
	dirty   bool  // written to since the last sync
	failing bool  // the last attempt to write failed
}

// openJournal opens or makes the file.
func openJournal(path string) (*journal, error) {
	f, err := durable.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &journal{path: path, file: f, size: info.Size(), limit: journalGrowth}, nil
}

// append writes records with one call, so that they survive the death of the
// process. After an error the journal is as before.
func (j *journal) append(records []byte) error {
	n, err := j.file.Write(records)
	if err != nil {
		if n > 0 && j.file.Truncate(j.size) != nil {
			j.size += int64(n) // the reader skips what is torn
		}
		return fmt.Errorf("write held log entries: %w", err)
	}
	j.size += int64(n)
	j.dirty = true
	return nil
}

// replace makes the journal again, of records. The next time is when it has grown
// by journalGrowth, also after an error, so that not every call tries.
func (j *journal) replace(records []byte) error {
	if len(records) == 0 {
		return j.truncate()
	}
	defer func() { j.limit = j.size + journalGrowth }()
	f, err := durable.Create(j.path+".new", records)
	if err == nil {
		if err = os.Rename(j.path+".new", j.path); err != nil {
			f.Close()
		}
	}
	if err != nil {
		_ = os.Remove(j.path + ".new") // what it takes may be what a full disk lacks
		return fmt.Errorf("rewrite held log entries: %w", err)
	}
	j.file.Close()
	j.file, j.size, j.dirty = f, int64(len(records)), false
	return durable.SyncDir(filepath.Dir(j.path))
}

func (j *journal) truncate() error {
	if j.size == 0 {
		return nil
	}
	if err := j.file.Truncate(0); err != nil {
		return fmt.Errorf("empty the journal of held log entries: %w", err)
	}
	j.size, j.limit, j.dirty = 0, journalGrowth, true
	return nil
}

// unsynced returns the file if it must be synced, which the caller does.
func (j *journal) unsynced() *os.File {
	if !j.dirty {
		return nil
	}
	j.dirty = false
	return j.file
}

func (j *journal) close() {
	if j.dirty {
		_ = j.file.Sync() // best effort: the page cache has it
	}
	j.file.Close()
}

// seal makes a record of what was appended to buf since start, where room for
// the header was left.
func seal(buf []byte, start int) []byte {
	body := buf[start+journalHeader:]
	copy(buf[start:], journalMagic)
	binary.LittleEndian.PutUint32(buf[start+4:], uint32(len(body)))
	binary.LittleEndian.PutUint32(buf[start+8:], durable.Checksum(0, body))
	return buf
}

func begin(buf []byte, kind byte) []byte {
	return append(append(buf, make([]byte, journalHeader)...), kind)
}

func appendInput(buf []byte, goesOn bool, a *arrival) []byte {
	start := len(buf)
	kind := recordInput
	if a.from != nil {
		kind = recordInputExtracted
	}
	buf = appendLabels(begin(buf, kind), a.labels)
	if goesOn {
		buf = append(buf, 1)
	} else {
		buf = append(buf, 0)
	}
	buf = appendEntries(buf, a.entries)
	for i := range a.from {
		buf = appendExtracted(buf, &a.from[i])
	}
	return seal(buf, start)
}

func appendFlush(buf []byte, stage int, stream labels.Labels) []byte {
	start := len(buf)
	buf = binary.AppendUvarint(begin(buf, recordFlush), uint64(stage))
	return seal(appendLabels(buf, stream), start)
}

func appendDone(buf []byte) []byte { return seal(begin(buf, recordDone), len(buf)) }

func appendHeld(buf []byte, stage int, b Block) []byte {
	start := len(buf)
	kind := recordHeld
	if b.Lines > 0 && !b.Extracted.only(b.Labels) {
		kind = recordHeldExtracted
	}
	buf = binary.AppendUvarint(begin(buf, kind), uint64(stage))
	buf = appendLabels(buf, b.Labels)
	buf = binary.AppendUvarint(buf, uint64(b.Lines))
	if b.Lines > 0 {
		buf = binary.AppendVarint(buf, b.Time.UnixNano())
		buf = appendLabels(buf, b.Metadata)
		buf = appendText(buf, b.Text)
	}
	if kind == recordHeldExtracted {
		buf = appendExtracted(buf, &b.Extracted)
	}
	return seal(buf, start)
}

func appendRecent(buf []byte, stream labels.Labels, marks []mark) []byte {
	start := len(buf)
	buf = appendLabels(begin(buf, recordRecent), stream)
	buf = binary.AppendUvarint(buf, uint64(len(marks)))
	for _, m := range marks {
		buf = binary.AppendVarint(buf, m.time)
		buf = binary.AppendUvarint(buf, uint64(m.size))
		buf = binary.AppendUvarint(buf, uint64(m.sum))
	}
	return seal(buf, start)
}

func appendOut(buf []byte, s pipeline.Stream) []byte {
	start := len(buf)
	return seal(appendEntries(appendLabels(begin(buf, recordOut), s.Labels), s.Entries), start)
}

func appendEntries(buf []byte, entries []pipeline.Entry) []byte {
	buf = binary.AppendUvarint(buf, uint64(len(entries)))
	for i := range entries {
		buf = binary.AppendVarint(buf, entries[i].Time.UnixNano())
		buf = appendLabels(buf, entries[i].Metadata)
		buf = appendText(buf, entries[i].Line)
	}
	return buf
}

func appendExtracted(buf []byte, x *Extracted) []byte {
	buf = appendLabels(buf, x.initial)
	buf = binary.AppendUvarint(buf, uint64(len(x.fields)))
	for i := range x.fields {
		f := &x.fields[i]
		buf = append(appendText(buf, f.name), byte(f.value.kind))
		switch f.value.kind {
		case kindText:
			buf = appendText(buf, f.value.text)
		case kindNumber, kindBool:
			buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(f.value.number))
		}
	}
	return buf
}

func appendLabels(buf []byte, l labels.Labels) []byte {
	buf = binary.AppendUvarint(buf, uint64(l.Len()))
	l.Range(func(l labels.Label) { buf = appendText(appendText(buf, l.Name), l.Value) })
	return buf
}

func appendText[T string | []byte](buf []byte, text T) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(text))), text...)
}

// journalWork bounds the bytes over which sums are made, as a multiple of the
// file's: what looks like the start of a record may be at every few bytes of a
// file that is not a journal, each time with a length up to its end.
const journalWork = 16

// readJournal calls f for each good record, in order, and counts the places at
// which there was anything else.
func readJournal(data []byte, f func(record)) (damaged int) {
	whole := true
	for work := journalWork * len(data); len(data) > 0; {
		if work -= bodySize(data); work < 0 {
			return damaged + 1
		}
		if r, n, ok := readRecord(data); ok {
			f(r)
			data, whole = data[n:], true
			continue
		}
		if whole {
			damaged++
		}
		whole = false
		next := bytes.Index(data[1:], []byte(journalMagic))
		if next < 0 {
			break
		}
		data = data[1+next:]
	}
	return damaged
}

// bodySize is how many bytes readRecord makes a sum over.
func bodySize(data []byte) int {
	if len(data) < journalHeader || string(data[:4]) != journalMagic {
		return 0
	}
	if size := uint64(binary.LittleEndian.Uint32(data[4:])); size <= uint64(len(data)-journalHeader) {
		return int(size)
	}
	return 0
}

// readRecord reads the record at the start of data, of n bytes.
func readRecord(data []byte) (r record, n int, ok bool) {
	if len(data) < journalHeader || string(data[:4]) != journalMagic {
		return r, 0, false
	}
	size := uint64(binary.LittleEndian.Uint32(data[4:]))
	if size == 0 || size > uint64(len(data)-journalHeader) {
		return r, 0, false
	}
	n = journalHeader + int(size)
	body := data[journalHeader:n]
	if durable.Checksum(0, body) != binary.LittleEndian.Uint32(data[8:]) {
		return r, 0, false
	}
	r, err := parseRecord(body)
	return r, n, err == nil
}

func parseRecord(body []byte) (r record, err error) {
	p := parser{rest: body[1:]}
	switch r.kind = body[0]; r.kind {
	case recordInput, recordInputExtracted:
		r.labels, r.goesOn = p.labels(), p.number() != 0
		r.entries = p.entries()
		if r.kind == recordInputExtracted {
			for range r.entries {
				r.from = append(r.from, p.extracted())
			}
		}
	case recordFlush:
		r.stage, r.labels = p.number(), p.labels()
	case recordDone:
	case recordHeld, recordHeldExtracted:
		r.stage = p.number()
		r.held.Labels, r.held.Lines = p.labels(), p.number()
		if r.held.Lines > 0 {
			r.held.Time, r.held.Metadata = p.time(), p.labels()
			r.held.Text = []byte(p.text())
		}
		r.held.Extracted.initial = r.held.Labels
		if r.kind == recordHeldExtracted {
			r.held.Extracted = p.extracted()
		}
	case recordRecent:
		r.labels = p.labels()
		for range p.count() {
			r.marks = append(r.marks, mark{time: int64(p.time().UnixNano()), size: uint32(p.number()), sum: uint32(p.number())})
		}
	case recordOut:
		r.labels, r.entries = p.labels(), p.entries()
	default:
		return r, fmt.Errorf("unknown kind %d", r.kind)
	}
	if len(p.rest) > 0 {
		p.bad = true
	}
	if p.bad {
		return r, errors.New("bad contents")
	}
	return r, nil
}

// parser reads the contents of a record. After the first thing that is wrong,
// bad is set and everything is zero.
type parser struct {
	rest []byte
	bad  bool
}

func (p *parser) uvarint() uint64 {
	v, n := binary.Uvarint(p.rest)
	if n <= 0 || p.bad {
		p.bad, p.rest = true, nil
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

// number is small enough to be a size.
func (p *parser) number() int {
	v := p.uvarint()
	if v > 1<<32 {
		p.bad = true
		return 0
	}
	return int(v)
}

// count is how many things of at least a byte follow.
func (p *parser) count() int {
	n := p.number()
	if n > len(p.rest) {
		p.bad = true
		return 0
	}
	return n
}

func (p *parser) time() time.Time {
	v, n := binary.Varint(p.rest)
	if n <= 0 || p.bad {
		p.bad, p.rest = true, nil
		return time.Time{}
	}
	p.rest = p.rest[n:]
	return time.Unix(0, v)
}

func (p *parser) text() string {
	n := p.count()
	if p.bad {
		return ""
	}
	text := string(p.rest[:n])
	p.rest = p.rest[n:]
	return text
}

func (p *parser) labels() labels.Labels {
	n := p.count()
	if n == 0 {
		return labels.EmptyLabels()
	}
	b := labels.NewScratchBuilder(n)
	for range n {
		name := p.text()
		b.Add(name, p.text())
	}
	return b.Labels()
}

func (p *parser) entries() []pipeline.Entry {
	var out []pipeline.Entry
	for range p.count() {
		out = append(out, pipeline.Entry{Time: p.time(), Metadata: p.labels(), Line: p.text()})
		if p.bad {
			return nil
		}
	}
	return out
}

func (p *parser) extracted() (x Extracted) {
	x.initial = p.labels()
	for range p.count() {
		f := field{name: p.text()}
		f.value.kind = valueKind(p.byte())
		switch f.value.kind {
		case kindText:
			f.value.text = p.text()
		case kindNumber, kindBool:
			f.value.number = p.float()
		case kindNull, kindDeleted:
		default:
			p.bad = true
		}
		if p.bad {
			return Extracted{}
		}
		x.fields = append(x.fields, f)
	}
	if len(x.fields) > indexAbove {
		x.reindex()
	}
	return x
}

func (p *parser) byte() byte {
	if len(p.rest) == 0 {
		p.bad = true
		return 0
	}
	b := p.rest[0]
	p.rest = p.rest[1:]
	return b
}

func (p *parser) float() float64 {
	if len(p.rest) < 8 {
		p.bad, p.rest = true, nil
		return 0
	}
	bits := binary.LittleEndian.Uint64(p.rest)
	p.rest = p.rest[8:]
	return math.Float64frombits(bits)
}
