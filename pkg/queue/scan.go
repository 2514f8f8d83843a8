package queue

import (
	"bytes"
	"errors"
	"io"
)

const (
	// scanWork bounds the bytes of what only looks like headers, as a multiple of
	// the segment's: each may claim a tag of 64 KiB, and occur at every few bytes.
	scanWork    = 16
	scanChunk   = 4 << 10  // read at once to walk from header to header
	resyncChunk = 64 << 10 // read at once to find the next header after damage
)

// scanner walks over the headers of a segment. It finds every record whose
// header is intact, whatever lies between.
type scanner struct {
	r     io.ReaderAt
	salt  uint32
	limit int64 // where the segment ends
	// until is above the seq of every block of the segment, if it is not 0:
	// records that say otherwise are none of them.
	until uint64
	off   int64 // of the next record
	waste int64 // bytes of what only looked like headers
	tag   string

	buf    []byte
	bufOff int64
}

// next returns the first intact header at or after s.off whose seq is at least
// min, and where its record starts. It returns io.EOF when there is none.
func (s *scanner) next(min uint64) (header, int64, error) {
	for {
		h, ok, err := s.parse(s.off)
		if err != nil {
			return header{}, 0, err
		}
		if s.waste > scanWork*s.limit {
			return header{}, 0, io.EOF
		}
		if !ok {
			if s.off, err = s.find(s.off + 1); err != nil {
				return header{}, 0, err
			}
			continue
		}
		at := s.off
		s.off += h.size()
		s.tag = h.tag
		if h.seq >= min && (s.until == 0 || h.seq < s.until) {
			return h, at, nil
		}
	}
}

// parse reads the header at off. A record that does not end within the segment
// counts as none.
func (s *scanner) parse(off int64) (header, bool, error) {
	b, err := s.read(off, recordHeaderLen, scanChunk)
	if err != nil {
		return header{}, false, err
	}
	n := tagLength(b)
	if n < 0 {
		return header{}, false, nil
	}
	if len(b) < recordHeaderLen+n {
		if b, err = s.read(off, recordHeaderLen+n, scanChunk); err != nil {
			if err == io.EOF {
				err = nil // the length is wrong
			}
			return header{}, false, err
		}
	}
	h, ok := parseHeader(b, s.salt, s.tag)
	if !ok {
		s.waste += int64(recordHeaderLen + n)
	}
	return h, ok && off+h.size() <= s.limit, nil
}

// find returns the first place at or after off that starts like a record. It
// returns io.EOF when there is none.
func (s *scanner) find(off int64) (int64, error) {
	for {
		b, err := s.read(off, recordHeaderLen, resyncChunk)
		if err != nil {
			return 0, err
		}
		if i := bytes.Index(b, []byte(recordMagic)); i >= 0 {
			return off + int64(i), nil
		}
		// The magic may lie across the end of what was read.
		off += int64(len(b)) - int64(len(recordMagic)) + 1
	}
}

// read returns at least n bytes at off, and reads chunk bytes when it has to
// read. Where the segment ends before off+n, it returns io.EOF.
func (s *scanner) read(off int64, n, chunk int) ([]byte, error) {
	if off+int64(n) > s.limit {
		return nil, io.EOF
	}
	if off >= s.bufOff && off+int64(n) <= s.bufOff+int64(len(s.buf)) {
		return s.buf[off-s.bufOff:], nil
	}
	want := min(int64(max(n, chunk)), s.limit-off)
	if int64(cap(s.buf)) < want {
		s.buf = make([]byte, want)
	}
	s.buf = s.buf[:want]
	s.bufOff = off
	got, err := s.r.ReadAt(s.buf, off)
	s.buf = s.buf[:got]
	if got >= n {
		return s.buf, nil
	}
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return nil, err
}
