package queue

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"path/filepath"
	"strings"

	"collector/pkg/durable"
)

const (
	cursorMagic  = "CQC1"
	rosterMagic  = "CQN1"
	cursorSuffix = ".cursor"
	cursorLen    = 64 // of a slot without its bitmap and tag queues
	tagMarkLen   = 16
	slotLen      = 4096 // each slot has a page of its own
	rosterAt     = 2 * slotLen
	// maxCursorFile bounds what is read of a cursor file.
	maxCursorFile = rosterAt + 1<<20
	// maxAhead is how far beyond the cursor a block's acknowledgment is
	// remembered on disk, in blocks.
	maxAhead = 8192
)

// cursor is how far a reader has come.
type cursor struct {
	generation uint64 // of two slots, the higher one counts
	seq        uint64 // the first block that is not finished
	before     uint64 // items in all blocks before it
	// unsaved counts the items of blocks before seq that were leased and
	// not yet done with when the cap took them from the disk.
	unsaved uint64
	// Of the tags that have tag queues, all blocks before the tag queue's mark are done
	// with, and no others. All other blocks before rest are done with.
	tags []tagMark
	rest uint64 // seq when there are no tag queues
	// done has a bit for each block from rest on that is done with already.
	done []byte
}

// mark returns the mark of a tag's tag queue, or nil.
func (c *cursor) mark(tag string) *tagMark {
	if len(c.tags) == 0 {
		return nil
	}
	hash := hashTag(tag)
	for i := range c.tags {
		if c.tags[i].tag == hash {
			return &c.tags[i]
		}
	}
	return nil
}

func (c *cursor) isDone(seq uint64, tag string) bool {
	if m := c.mark(tag); m != nil {
		return seq < m.seq
	}
	i := seq - c.rest
	return seq < c.rest || i/8 < uint64(len(c.done)) && c.done[i/8]&(1<<(i%8)) != 0
}

// end is the first block after those that the cursor covers.
func (c *cursor) end() uint64 {
	end := c.rest
	if n := len(c.done); n > 0 {
		end += 8*uint64(n-1) + uint64(bits.Len8(c.done[n-1]))
	}
	for _, m := range c.tags {
		end = max(end, m.seq)
	}
	return end
}

func (c *cursor) encode() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, cursorLen+len(c.done))
	b = append(b, cursorMagic...)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, c.generation)
	b = le.AppendUint64(b, c.seq)
	b = le.AppendUint64(b, c.before)
	b = le.AppendUint64(b, c.unsaved)
	b = le.AppendUint64(b, uint64(len(c.done)))
	b = le.AppendUint64(b, c.rest-c.seq)
	b = le.AppendUint64(b, uint64(len(c.tags)))
	b = append(b[:cursorLen], c.done...)
	for _, m := range c.tags {
		b = le.AppendUint64(b, m.tag)
		b = le.AppendUint64(b, m.seq)
	}
	le.PutUint32(b[4:], durable.Checksum(0, b[8:]))
	return b
}

func parseCursor(b []byte) (cursor, bool) {
	le := binary.LittleEndian
	if len(b) < cursorLen || string(b[:4]) != cursorMagic {
		return cursor{}, false
	}
	n, tags := le.Uint64(b[40:]), le.Uint64(b[56:])
	if n > maxAhead/8 || tags > maxTagQueues || uint64(len(b)) < cursorLen+n+tagMarkLen*tags {
		return cursor{}, false
	}
	b = b[:cursorLen+n+tagMarkLen*tags]
	if le.Uint32(b[4:]) != durable.Checksum(0, b[8:]) {
		return cursor{}, false
	}
	c := cursor{
		generation: le.Uint64(b[8:]),
		seq:        le.Uint64(b[16:]),
		before:     le.Uint64(b[24:]),
		unsaved:    le.Uint64(b[32:]),
		rest:       le.Uint64(b[16:]) + le.Uint64(b[48:]),
		done:       b[cursorLen : cursorLen+n],
	}
	for b = b[cursorLen+n:]; len(b) > 0; b = b[tagMarkLen:] {
		c.tags = append(c.tags, tagMark{tag: le.Uint64(b), seq: le.Uint64(b[8:])})
	}
	return c, c.plausible()
}

// plausible reports whether the numbers may be those of a queue: a checksum can be
// made for any.
func (c *cursor) plausible() bool {
	if max(c.generation, c.before, c.unsaved, c.rest) >= maxNumber || c.rest < c.seq {
		return false
	}
	for _, m := range c.tags {
		if m.seq < c.seq || m.seq >= maxNumber {
			return false
		}
	}
	return true
}

// undone is how many of the blocks from one to another, without that, are not
// known to be done with.
func (c *cursor) undone(from, to uint64) uint64 {
	n := uint64(0)
	if end := max(from, c.end()); end < to {
		n, to = to-end, end
	}
	if from >= to {
		return n
	}
	if len(c.tags) > 0 {
		return n + to - from // their tags can't be known
	}
	// Of the blocks in cursor, at most maxAhead are from rest on.
	for seq := max(from, c.rest); seq < to; seq++ {
		if !c.isDone(seq, "") {
			n++
		}
	}
	return n
}

// encodeRoster makes the list of all readers that every cursor file carries,
// so that a reader whose file is lost is not taken for a new one.
func encodeRoster(readers []string) []byte {
	names, err := json.Marshal(readers)
	if err != nil {
		panic("BUG: strings do not encode: " + err.Error())
	}
	le := binary.LittleEndian
	b := append(make([]byte, 0, 12+len(names)), rosterMagic...)
	b = le.AppendUint32(b, durable.Checksum(0, names))
	b = le.AppendUint32(b, uint32(len(names)))
	return append(b, names...)
}

func parseRoster(b []byte) []string {
	le := binary.LittleEndian
	if len(b) < 12 || string(b[:4]) != rosterMagic || uint64(len(b)-12) < uint64(le.Uint32(b[8:])) {
		return nil
	}
	names := b[12 : 12+le.Uint32(b[8:])]
	var readers []string
	if le.Uint32(b[4:]) != durable.Checksum(0, names) || json.Unmarshal(names, &readers) != nil {
		return nil
	}
	return readers
}

// cursorName is the name of the file of the reader's cursor.
func cursorName(reader string) string {
	sum := sha256.Sum256([]byte(reader))
	return hex.EncodeToString(sum[:10]) + cursorSuffix
}

// cursorFile is what a cursor file was found to hold.
type cursorFile struct {
	name   string
	cursor cursor
	ok     bool     // at least one slot was intact
	roster []string // nil when it was not intact
}

func parseCursorFile(name string, b []byte) cursorFile {
	cf := cursorFile{name: name}
	for i := range 2 {
		if len(b) < i*slotLen {
			break
		}
		slot := b[i*slotLen:]
		c, ok := parseCursor(slot[:min(len(slot), slotLen)])
		if ok && (!cf.ok || c.generation > cf.cursor.generation) {
			cf.cursor, cf.ok = c, true
		}
	}
	if len(b) > rosterAt {
		cf.roster = parseRoster(b[rosterAt:])
	}
	return cf
}

// readCursors reads all cursor files of dir, by name.
func readCursors(dir string, names []string) (map[string]cursorFile, error) {
	files := make(map[string]cursorFile)
	for _, name := range names {
		if !strings.HasSuffix(name, cursorSuffix) {
			continue
		}
		b, err := durable.ReadFile(filepath.Join(dir, name), maxCursorFile)
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, durable.ErrLink) {
			return nil, fmt.Errorf("read cursor: %w", err)
		}
		// What can't be read counts as damaged.
		files[name] = parseCursorFile(name, b)
	}
	return files, nil
}
