// Package journalfile reads the files of the systemd journal.
//
// A file is a header and objects, to which a writer appends while others read:
//
//	header ──▶ entry array ──▶ entry array ──▶ …     offsets of entries
//	              │  │
//	              ▼  ▼
//	           entry entry                           times, number, offsets of fields
//	              │  ╱│
//	              ▼ ▼ ▼
//	           data data data                        "NAME=value", perhaps compressed
//
// systemd documents it as its Journal File Format. The file is read with pread: a mapping
// would end the process when somebody truncates the file. What the header counts is
// complete; what lies beyond may be half written, and is not looked at. Nothing in a file
// is trusted: every offset is checked, every chain leads forward only, and a file costs
// no more memory than the limits of its reader.
package journalfile

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
)

const (
	signature     = "LPKSHHRH"
	minHeaderSize = 208 // of the first version; later ones only add to it
	objectHeader  = 16
	entryHeader   = 64
	arrayHeader   = 24
)

// What a reader has to know of to read a file.
const (
	flagXZ = 1 << iota
	flagLZ4
	flagKeyedHash
	flagZstd
	flagCompact
	knownFlags = 1<<iota - 1
)

// Types of objects.
const (
	typeData  = 1
	typeEntry = 3
	typeArray = 6
	maxType   = 7
)

// State is what the writer says of a file.
type State uint8

// The states. Nothing is added to an archived file.
const (
	Offline State = iota
	Online
	Archived
)

// ID is one of the format's 128-bit identifiers.
type ID [16]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads 32 hexadecimal digits.
func ParseID(s string) (id ID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return ID{}, fmt.Errorf("%q is not 32 hexadecimal digits", s)
	}
	return ID(b), nil
}

// Header is what a file says of itself.
type Header struct {
	State         State
	Compact       bool
	FileID        ID
	MachineID     ID
	TailBootID    ID
	SeqnumID      ID
	Entries       uint64
	HeadSeqnum    uint64
	TailSeqnum    uint64
	HeadRealtime  uint64 // µs
	TailRealtime  uint64
	TailMonotonic uint64

	size  uint64 // of the header
	end   uint64 // of what is used, and there
	array uint64
}

var (
	// ErrNotAJournal says that a file has no header of a journal file: it is another
	// file, it has just been made, or its contents have been removed.
	ErrNotAJournal = errors.New("it is not a journal file")
	// ErrUnsupported says that a file needs a newer reader.
	ErrUnsupported = errors.New("the file uses a newer format")
	// ErrReplaced says that another file has taken the place of the one that was opened.
	ErrReplaced = errors.New("another journal was written to the file")
)

// DamageError says what is wrong in a file, and where.
type DamageError struct {
	Offset uint64
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("the journal is damaged at offset %d: %s", e.Offset, e.Reason)
}

func damaged(offset uint64, reason string) error { return &DamageError{Offset: offset, Reason: reason} }

// Position is how far a file has been read.
type Position struct {
	Entries uint64 // that were read or skipped
	Offset  uint64 // of the last that was read; 0 for none
	Seqnum  uint64 // its number
}

// File reads one file. It is not safe for concurrent use.
type File struct {
	src  io.ReaderAt
	size func() (int64, error)
	dec  *Decoder

	head    Header
	windows [windowCount]window
	clock   uint64 // of the uses of windows
	array   array
	fields  map[uint64]Field // those of several entries, by offset

	next      Position
	searching bool   // the chain of arrays is broken: entries are looked for
	searched  uint64 // up to where
}

// New reads the header of a file. size returns its present size. Files that are
// read by one goroutine may share a Decoder.
func New(src io.ReaderAt, size func() (int64, error), dec *Decoder) (*File, error) {
	f := &File{src: src, size: size, dec: dec}
	if err := f.Refresh(); err != nil {
		return nil, err
	}
	return f, nil
}

// Header is the header as of the last Refresh.
func (f *File) Header() Header { return f.head }

// Refresh reads the header again, so that entries become readable that were
// written since. After an error, the file is as it was before.
func (f *File) Refresh() error {
	size, err := f.size()
	if err != nil {
		return err
	}
	var b [minHeaderSize]byte
	if n, err := f.src.ReadAt(b[:], 0); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			return ErrNotAJournal
		}
		return err
	}
	head, err := parseHeader(b[:], uint64(max(0, size)))
	switch {
	case err != nil:
		return err
	case f.head.FileID != ID{} && f.head.FileID != head.FileID:
		return ErrReplaced
	}
	f.head = head
	for i := range f.windows {
		f.windows[i].length = 0
	}
	return nil
}

// Release gives buffers back until the file is read again.
func (f *File) Release() {
	f.windows = [windowCount]window{}
	f.fields = nil
}

func parseHeader(b []byte, fileSize uint64) (h Header, err error) {
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	if string(b[:8]) != signature {
		return h, ErrNotAJournal
	}
	flags := binary.LittleEndian.Uint32(b[12:])
	if unknown := flags &^ knownFlags; unknown != 0 {
		return h, fmt.Errorf("%w (flags %#x)", ErrUnsupported, unknown)
	}
	h = Header{
		State: State(b[16]), Compact: flags&flagCompact != 0,
		FileID: ID(b[24:40]), MachineID: ID(b[40:56]), TailBootID: ID(b[56:72]), SeqnumID: ID(b[72:88]),
		size: u64(88), Entries: u64(152), TailSeqnum: u64(160), HeadSeqnum: u64(168), array: u64(176),
		HeadRealtime: u64(184), TailRealtime: u64(192), TailMonotonic: u64(200),
	}
	if h.FileID == (ID{}) {
		return h, ErrNotAJournal // its header is being written
	}
	if h.size < minHeaderSize || h.size > fileSize || h.size%8 != 0 {
		return h, damaged(88, fmt.Sprintf("a header of %d bytes in a file of %d", h.size, fileSize))
	}
	h.end = fileSize
	if arena := u64(96); arena < fileSize-h.size {
		h.end = h.size + arena
	}
	h.end = min(h.end, math.MaxInt64)
	// A damaged count must not make the lost entries more than there can have been.
	h.Entries = min(h.Entries, (h.end-h.size)/entryHeader)
	return h, nil
}
