package journalfile

import (
	"encoding/binary"
	"errors"
	"io"
)

const (
	windowSize  = 16 << 10
	windowCount = 4
	windowAlign = 4 << 10
)

// window is a part of the file that was read.
type window struct {
	offset uint64
	length uint64
	used   uint64
	bytes  []byte
}

// bytes returns n bytes of the used part of the file, valid until the next call.
func (f *File) bytes(offset, n uint64) ([]byte, error) {
	if offset > f.head.end || n > f.head.end-offset {
		return nil, damaged(offset, "it ends before the object does")
	}
	if n > windowSize-windowAlign {
		return f.read(make([]byte, n), offset)
	}
	f.clock++
	oldest := &f.windows[0]
	for i := range f.windows {
		w := &f.windows[i]
		if offset >= w.offset && offset+n <= w.offset+w.length {
			w.used = f.clock
			return w.bytes[offset-w.offset:][:n], nil
		}
		if w.used < oldest.used {
			oldest = w
		}
	}
	w := oldest
	if w.bytes == nil {
		w.bytes = make([]byte, windowSize)
	}
	w.offset, w.length, w.used = offset-offset%windowAlign, 0, f.clock
	b, err := f.read(w.bytes[:min(windowSize, f.head.end-w.offset)], w.offset)
	if err != nil {
		return nil, err
	}
	w.length = uint64(len(b))
	return b[offset-w.offset:][:n], nil
}

func (f *File) read(b []byte, offset uint64) ([]byte, error) {
	n, err := f.src.ReadAt(b, int64(offset))
	switch {
	case n == len(b):
		return b, nil
	case err == nil || errors.Is(err, io.EOF):
		return nil, damaged(offset, "the file was truncated")
	}
	return nil, err
}

// object is the header of an object.
type object struct {
	offset uint64
	kind   byte
	flags  byte
	size   uint64
}

// object reads the header of the object at an offset.
func (f *File) object(offset uint64) (object, error) {
	if offset < f.head.size || offset%8 != 0 {
		return object{}, damaged(offset, "an offset leads to no object")
	}
	b, err := f.bytes(offset, objectHeader)
	if err != nil {
		return object{}, err
	}
	o := object{offset: offset, kind: b[0], flags: b[1], size: binary.LittleEndian.Uint64(b[8:])}
	if o.kind == 0 || o.kind > maxType || o.size < objectHeader || o.size > f.head.end-offset {
		return object{}, damaged(offset, "there is no valid object")
	}
	return o, nil
}

// objectOf reads the header of an object that must be of a type, and have a size.
func (f *File) objectOf(kind byte, offset, size uint64) (object, error) {
	o, err := f.object(offset)
	switch {
	case err != nil:
		return o, err
	case o.kind != kind:
		return o, damaged(offset, "there is an object of another type")
	case o.size < size:
		return o, damaged(offset, "an object is too small")
	}
	return o, nil
}

func (f *File) u64(offset uint64) (uint64, error) {
	b, err := f.bytes(offset, 8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// offset reads an offset as arrays and entries have them.
func (f *File) offset(at uint64) (uint64, error) {
	if !f.head.Compact {
		return f.u64(at)
	}
	b, err := f.bytes(at, 4)
	if err != nil {
		return 0, err
	}
	return uint64(binary.LittleEndian.Uint32(b)), nil
}

// offsetSize is the size of such an offset.
func (f *File) offsetSize() uint64 {
	if f.head.Compact {
		return 4
	}
	return 8
}

// itemSize is the size of a reference to a field, in an entry.
func (f *File) itemSize() uint64 {
	if f.head.Compact {
		return 4
	}
	return 16
}

// dataHeader is how many bytes of a data object precede its payload.
func (f *File) dataHeader() uint64 {
	if f.head.Compact {
		return 72
	}
	return 64
}
