package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"collector/pkg/durable"
)

const (
	// chunkSize is how much of a file is read at once.
	chunkSize = 64 << 10
	// headSize and lastSize are how many bytes at the beginning of a file and
	// before a position a file is recognized by.
	headSize = 1024
	lastSize = 64
	// padding is how many NULs at the beginning of a line are not its text, but
	// what a crash of the machine left in the place of lines.
	padding = 512
)

// errTruncated says that a file no longer holds what was read from it.
var errTruncated = errors.New("the file was truncated")

// fileID is how the kernel distinguishes files.
type fileID struct {
	Dev   uint64
	Inode uint64
}

func identify(info fs.FileInfo) fileID {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileID{Dev: uint64(stat.Dev), Inode: stat.Ino}
	}
	return fileID{}
}

// part is a file that is read; a path may have led to several, one after the
// other.
type part struct {
	tail    *tail
	name    string // by which it was opened
	real    string // where that led; empty if it was no link
	file    *os.File
	id      fileID
	given   text  // the encoding that is configured
	text    text  // the one that its byte order mark says
	bom     int64 // the bytes of that mark
	offset  int64 // the beginning of the first line that was not read
	scanned int64 // bytes from there on that hold no line end
	last    []byte
	head    uint32 // checksum of the first headLen bytes
	headLen int64

	again   []run    // the times of the next lines, if they were read before
	sending *sending // its lines in the batch; nil: none

	adopted bool      // the stored position of another tail has it until the next delivery
	rotated bool      // the path doesn't lead here any more
	grown   time.Time // when a rotated file was last seen to grow

	lines int64 // of a compressed file
}

// openPart opens a file, at its beginning.
func openPart(t *tail, name string, text text) (*part, error) {
	// Opening a pipe would wait for a writer.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	p := &part{tail: t, name: name, file: f, id: identify(info), given: text}
	p.begin()
	return p, nil
}

// begin looks for a byte order mark, which may be written after the file was
// opened. The position does not move past it before the first line is read: a mark
// alone is not something to recognize a file by.
func (p *part) begin() {
	if p.offset > 0 {
		return
	}
	head := make([]byte, maxByteOrderMark)
	n, _ := p.file.ReadAt(head, 0)
	text, size := p.given.beginning(head[:n])
	p.text, p.bom = text, int64(size)
}

// preamble is how many bytes at the position are a byte order mark.
func (p *part) preamble() int64 {
	if p.offset > 0 {
		return 0
	}
	return p.bom
}

func (p *part) close() { _ = p.file.Close() }

// size is the size of the file now.
func (p *part) size() int64 {
	info, err := p.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// mark describes the part for a position. The beginning of a file by which it is
// recognized may be more than has been read of it.
func (p *part) mark() mark {
	if p.headLen < headSize {
		if want := min(headSize, p.size()); p.headLen < want {
			head := make([]byte, want)
			if n, _ := p.file.ReadAt(head, 0); int64(n) == want {
				p.head, p.headLen = durable.Checksum(0, head), want
			}
		}
	}
	return p.known()
}

// known is the mark as far as it is known without reading.
func (p *part) known() mark {
	return mark{
		fileID: p.id, Real: p.real, Offset: p.offset, HeadLen: p.headLen, Head: p.head,
		LastLen: len(p.last), Last: durable.Checksum(0, p.last), Lines: p.lines, Sent: encodeRuns(p.again),
	}
}

// matches reports whether the file holds what was read when m was made.
func (p *part) matches(m mark) bool {
	return m.HeadLen >= 0 && m.HeadLen <= headSize && m.LastLen >= 0 && m.LastLen <= lastSize && int64(m.LastLen) <= m.Offset &&
		p.sum(0, m.HeadLen) == m.Head && p.sum(m.Offset-int64(m.LastLen), int64(m.LastLen)) == m.Last
}

// sum is the checksum of bytes of the file; of bytes that it doesn't have, that of
// fewer.
func (p *part) sum(from, n int64) uint32 {
	b := make([]byte, n)
	got, _ := p.file.ReadAt(b, from)
	return durable.Checksum(0, b[:got])
}

// resume sets the position to that of m.
func (p *part) resume(m mark) {
	p.seek(p.aligned(m.Offset))
	p.again = decodeRuns(m.Sent)
}

// aligned is the offset of the first character that begins at an offset or behind it.
// What read the file before may have taken each byte for a character.
func (p *part) aligned(offset int64) int64 {
	unit := int64(len(p.text.end))
	over := offset % unit
	if over > 0 && offset-over+unit <= p.size() {
		return offset - over + unit
	}
	return offset - over
}

// seek sets the position to an offset.
func (p *part) seek(offset int64) {
	p.offset, p.scanned = offset, 0
	b := make([]byte, min(lastSize, offset))
	n, _ := p.file.ReadAt(b, offset-int64(len(b)))
	p.last = b[:n]
}

// seekEnd sets the position after the last line end.
func (p *part) seekEnd() {
	unit := int64(len(p.text.end))
	first := p.offset
	end := p.size()
	end -= (end - first) % unit
	buf := make([]byte, 4096)
	for end > first {
		from := max(first, end-int64(len(buf)))
		n, err := p.file.ReadAt(buf[:end-from], from)
		if err != nil && !errors.Is(err, io.EOF) {
			return
		}
		for i := n - n%int(unit) - int(unit); i >= 0; i -= int(unit) {
			if bytes.Equal(buf[i:i+int(unit)], p.text.end) {
				p.seek(from + int64(i) + unit)
				return
			}
		}
		end = from
	}
	p.seek(first)
}

// advance moves the position to the end of b, which begins after the last bytes
// that are remembered.
func (p *part) advance(b []byte) {
	p.offset += int64(len(b))
	p.scanned = 0
	if len(b) >= lastSize {
		p.last = append(p.last[:0], b[len(b)-lastSize:]...)
		return
	}
	if over := len(p.last) + len(b) - lastSize; over > 0 {
		p.last = append(p.last[:0], p.last[over:]...)
	}
	p.last = append(p.last, b...)
}

// read gives the next lines to emit, not much more than chunkSize bytes of them. It
// returns whether there may be more. buf has room for a chunk and the bytes before
// it.
func (p *part) read(buf []byte, limit int, emit func(line []byte, size int64)) (more bool, err error) {
	p.begin()
	before := len(p.last)
	n, err := p.file.ReadAt(buf[:before+chunkSize], p.offset-int64(before))
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	if n < before || !bytes.Equal(buf[:before], p.last) {
		return false, errTruncated
	}
	chunk := buf[before:n]
	eof := len(chunk) < chunkSize
	if p.scanned > 0 {
		return p.readLong(buf, limit, emit)
	}
	bom := min(int(p.preamble()), len(chunk))
	done := bom
	for done < len(chunk) {
		rest := chunk[done:]
		if nulls := leadingNulls(rest); nulls >= padding || nulls == len(rest) {
			if nulls == len(rest) {
				p.advance(chunk[:done])
				return p.skipNulls(buf, eof)
			}
			done += nulls - nulls%len(p.text.end)
			continue
		}
		end := p.text.find(rest)
		if end < 0 {
			break
		}
		emit(rest[:end], int64(end))
		done += end + len(p.text.end)
	}
	if done == bom {
		done = 0 // no line was read
	}
	p.advance(chunk[:done])
	if done == 0 && !eof {
		p.scanned = int64(len(chunk))
		return p.readLong(buf, limit, emit)
	}
	return !eof, nil
}

// leadingNulls is how many bytes at the beginning of b are 0.
func leadingNulls(b []byte) int {
	for i, c := range b {
		if c != 0 {
			return i
		}
	}
	return len(b)
}

// skipNulls moves the position behind NULs if there are enough of them and something
// follows. Nothing follows where a writer has allocated space for what it will write.
func (p *part) skipNulls(buf []byte, eof bool) (more bool, err error) {
	if eof {
		return false, nil
	}
	for at := p.offset; ; {
		n, err := p.file.ReadAt(buf[:chunkSize], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		nulls := leadingNulls(buf[:n])
		at += int64(nulls)
		if nulls < n {
			if at -= (at - p.offset) % int64(len(p.text.end)); at-p.offset >= padding {
				p.seek(at)
			}
			return true, nil
		}
		if n < chunkSize {
			return false, nil
		}
	}
}

// readLong looks for the end of a line that is longer than a chunk, and gives it to
// emit if it is there.
func (p *part) readLong(buf []byte, limit int, emit func(line []byte, size int64)) (more bool, err error) {
	for {
		n, err := p.file.ReadAt(buf[:chunkSize], p.offset+p.scanned)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		end := p.text.find(buf[:n])
		if end < 0 {
			p.scanned += int64(n - n%len(p.text.end))
			if n < chunkSize {
				return false, nil
			}
			continue
		}
		return true, p.emitLong(p.scanned+int64(end), int64(len(p.text.end)), limit, emit)
	}
}

// emitLong gives the line of size bytes at the position to emit, without a byte order
// mark, and moves the position after its line end.
func (p *part) emitLong(size, end int64, limit int, emit func(line []byte, size int64)) error {
	// Two bytes of UTF-16 may be one of UTF-8.
	bom := p.preamble()
	line := make([]byte, min(size-bom, int64(limit)*int64(len(p.text.end))))
	if n, err := p.file.ReadAt(line, p.offset+bom); n < len(line) {
		if errors.Is(err, io.EOF) {
			return errTruncated
		}
		return err
	}
	emit(line, size-bom)
	p.seek(p.offset + size + end)
	return nil
}

// finish gives the last line, which has no end, to emit.
func (p *part) finish(limit int, emit func(line []byte, size int64)) {
	_, _ = p.skipNulls(make([]byte, chunkSize), false)
	begin := p.offset + p.preamble()
	character := make([]byte, len(p.text.end))
	if n, _ := p.file.ReadAt(character, begin); leadingNulls(character[:n]) < n {
		_ = p.emitLong(p.size()-p.offset, 0, limit, emit)
	}
}
