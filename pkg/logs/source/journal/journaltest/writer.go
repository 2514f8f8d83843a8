// Package journaltest writes journal files, and runs systemd-journald, for tests.
package journaltest

import (
	"bytes"
	"encoding/binary"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
)

// Options say what a file is like.
type Options struct {
	Compact     bool
	Compression string // "xz", "lz4" or "zstd", of all fields of 64 bytes or more
	FileID      byte   // every byte of the identifiers
	MachineID   byte
	BootID      byte
	SeqnumID    byte
	FirstSeqnum uint64 // 0: 1
	ArrayLength int    // of the first entry array; 0: 4
}

// Writer makes a journal file in memory.
type Writer struct {
	o       Options
	buf     []byte
	data    map[string]uint64 // offsets of fields
	seqnum  uint64
	entries uint64
	array   uint64 // the last entry array
	room    int    // in it
	used    int
}

// Sizes and places of the format.
const (
	HeaderSize  = 272
	EntriesAt   = 152 // the number of entries, in the header
	entryHeader = 64
	arrayHeader = 24
)

// NewWriter makes an empty file.
func NewWriter(o Options) *Writer {
	w := &Writer{o: o, buf: make([]byte, HeaderSize), data: make(map[string]uint64), seqnum: max(o.FirstSeqnum, 1) - 1}
	if w.o.ArrayLength == 0 {
		w.o.ArrayLength = 4
	}
	copy(w.buf, "LPKSHHRH")
	flags := uint32(1 << 2) // keyed hash; nobody looks anything up
	switch o.Compression {
	case "xz":
		flags |= 1 << 0
	case "lz4":
		flags |= 1 << 1
	case "zstd":
		flags |= 1 << 3
	}
	if o.Compact {
		flags |= 1 << 4
	}
	binary.LittleEndian.PutUint32(w.buf[12:], flags)
	w.buf[16] = 1 // online
	for i, id := range []byte{o.FileID, o.MachineID, o.BootID, o.SeqnumID} {
		copy(w.buf[24+16*i:], bytes.Repeat([]byte{id}, 16))
	}
	w.put(88, HeaderSize)
	// Empty hash tables, which journalctl wants to see.
	w.put(104, w.object(4, make([]byte, 16))+16)
	w.put(112, 16)
	w.put(120, w.object(5, make([]byte, 16))+16)
	w.put(128, 16)
	w.count()
	return w
}

// Append writes an entry of the time in µs, with fields "NAME=value".
func (w *Writer) Append(realtime, monotonic uint64, fields ...string) {
	var body []byte
	w.seqnum++
	for _, v := range []uint64{w.seqnum, realtime, monotonic} {
		body = binary.LittleEndian.AppendUint64(body, v)
	}
	body = append(body, bytes.Repeat([]byte{w.o.BootID}, 16)...)
	body = binary.LittleEndian.AppendUint64(body, realtime^w.seqnum) // not a hash of the fields
	for _, f := range fields {
		body = w.reference(body, w.field(f))
		if !w.o.Compact {
			body = binary.LittleEndian.AppendUint64(body, 0)
		}
	}
	entry := w.object(3, body)
	for _, f := range fields {
		if at := int(w.data[f]) + 40; binary.LittleEndian.Uint64(w.buf[at:]) == 0 {
			w.put(at, entry) // the first that has the field
		}
	}
	w.link(entry)
	if w.entries == 0 {
		w.put(168, w.seqnum)
		w.put(184, realtime)
	}
	w.entries++
	w.put(160, w.seqnum)
	w.put(192, realtime)
	w.put(200, monotonic)
	w.count()
}

// Archive says that nothing is added any more.
func (w *Writer) Archive() { w.buf[16] = 2 }

// Bytes is the file.
func (w *Writer) Bytes() []byte { return w.buf }

// Write writes the file to a path, over what is there.
func (w *Writer) Write(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	// The header comes last, as entries are readable that it counts.
	if _, err = f.WriteAt(w.buf[HeaderSize:], HeaderSize); err == nil {
		_, err = f.WriteAt(w.buf[:HeaderSize], 0)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

func (w *Writer) put(at int, v uint64) { binary.LittleEndian.PutUint64(w.buf[at:], v) }

func (w *Writer) reference(b []byte, offset uint64) []byte {
	if w.o.Compact {
		return binary.LittleEndian.AppendUint32(b, uint32(offset))
	}
	return binary.LittleEndian.AppendUint64(b, offset)
}

// count updates what the header says of the size and the number of entries.
func (w *Writer) count() {
	w.put(96, uint64(len(w.buf)-HeaderSize))
	w.put(EntriesAt, w.entries)
}

// object appends an object, and returns its offset.
func (w *Writer) object(kind byte, body []byte) uint64 { return w.objectWith(kind, 0, body) }

func (w *Writer) objectWith(kind, flags byte, body []byte) uint64 {
	at := uint64(len(w.buf))
	w.put(136, at)
	w.put(144, binary.LittleEndian.Uint64(w.buf[144:])+1)
	w.buf = append(w.buf, kind, flags, 0, 0, 0, 0, 0, 0)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(16+len(body)))
	w.buf = append(w.buf, body...)
	w.buf = append(w.buf, make([]byte, -len(w.buf)&7)...)
	return at
}

// field returns the offset of a field, which is written once.
func (w *Writer) field(text string) uint64 {
	if at, ok := w.data[text]; ok {
		count := binary.LittleEndian.Uint64(w.buf[at+56:])
		w.put(int(at)+56, count+1)
		return at
	}
	head := 48
	if w.o.Compact {
		head += 8
	}
	body := make([]byte, head)
	binary.LittleEndian.PutUint64(body[40:], 1)
	packed, flags := w.pack([]byte(text))
	at := w.objectWith(1, flags, append(body, packed...))
	w.data[text] = at
	return at
}

// pack compresses a field.
func (w *Writer) pack(text []byte) (packed []byte, flags byte) {
	if len(text) < 64 {
		return text, 0
	}
	var out bytes.Buffer
	switch w.o.Compression {
	case "xz":
		config := xz.WriterConfig{NoCheckSum: true, DictCap: 1 << 20}
		z, err := config.NewWriter(&out)
		must(err)
		_, err = z.Write(text)
		must(err)
		must(z.Close())
		return out.Bytes(), 1
	case "lz4":
		block := make([]byte, lz4.CompressBlockBound(len(text)))
		n, err := lz4.CompressBlock(text, block, nil)
		must(err)
		if n == 0 {
			return text, 0 // it would not be smaller
		}
		return append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), block[:n]...), 2
	case "zstd":
		z, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true)) // which writes the size, as journald does
		must(err)
		return z.EncodeAll(text, nil), 4
	}
	return text, 0
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// link adds an entry to the chain of arrays.
func (w *Writer) link(entry uint64) {
	width := 8
	if w.o.Compact {
		width = 4
	}
	if w.used == w.room {
		w.room, w.used = max(w.o.ArrayLength, 2*w.room), 0
		at := w.object(6, make([]byte, 8+w.room*width))
		if w.array == 0 {
			w.put(176, at)
		} else {
			w.put(int(w.array)+16, at)
		}
		w.array = at
	}
	copy(w.buf[int(w.array)+arrayHeader+w.used*width:], w.reference(nil, entry))
	w.used++
}
