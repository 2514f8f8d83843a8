package git

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// A pack is
//
//	"PACK"  version (4 bytes: 2)  number of objects (4 bytes)
//	objects
//	SHA-1 of all before it
//
// and an object
//
//	type and size     a byte with 3 bits of type and 4 of size, and 7 more bits of
//	                  size in each byte that follows one whose highest bit is set
//	base of a delta   types 6: how far before this object; 7: its id
//	content           compressed by zlib
type objectType byte

const (
	typeCommit      objectType = 1
	typeTree        objectType = 2
	typeBlob        objectType = 3
	typeTag         objectType = 4
	typeOffsetDelta objectType = 6
	typeRefDelta    objectType = 7
)

func (t objectType) String() string {
	return map[objectType]string{typeCommit: "commit", typeTree: "tree", typeBlob: "blob", typeTag: "tag"}[t]
}

// object is one that is no delta, or what a delta makes.
type object struct {
	kind objectType
	data []byte
}

// entry is an object as a pack has it.
type entry struct {
	kind   objectType
	data   []byte
	base   int64  // the offset of the base of a delta
	baseID string // the id of the base of a delta
}

// packReader reads the objects of a pack by their ids.
type packReader struct {
	budget  int64 // bytes that may still be unpacked
	entries map[int64]entry
	made    map[int64]object // by offset
	byID    map[string]int64 // the offsets of what is made
	z       io.ReadCloser    // reused, as it is large
}

// objectsOf are the objects in a pack, by their ids, if all of them together are not
// more than limit bytes.
func objectsOf(pack []byte, limit int64) (map[string]object, error) {
	if len(pack) < 12+sha1.Size || string(pack[:4]) != "PACK" || binary.BigEndian.Uint32(pack[4:]) != 2 {
		return nil, errors.New("it does not start with a version 2 pack header")
	}
	body, sum := pack[:len(pack)-sha1.Size], pack[len(pack)-sha1.Size:]
	if got := sha1.Sum(body); !bytes.Equal(got[:], sum) {
		return nil, errors.New("its checksum is wrong")
	}
	p := &packReader{budget: limit, entries: map[int64]entry{}, made: map[int64]object{}, byID: map[string]int64{}}
	if err := p.read(body); err != nil {
		return nil, err
	}
	if err := p.resolve(); err != nil {
		return nil, err
	}
	out := make(map[string]object, len(p.byID))
	for id, at := range p.byID {
		out[id] = p.made[at]
	}
	return out, nil
}

// spend takes n bytes from what may still be unpacked.
func (p *packReader) spend(n uint64) error {
	if n > uint64(p.budget) {
		return errors.New("its objects are larger than is allowed")
	}
	p.budget -= int64(n)
	return nil
}

// read reads all entries. Those that are no deltas are made at once.
func (p *packReader) read(body []byte) error {
	count := binary.BigEndian.Uint32(body[8:])
	r := bytes.NewReader(body)
	r.Seek(12, io.SeekStart)
	for range count {
		at := r.Size() - int64(r.Len())
		e, err := p.entry(r, at)
		if err != nil {
			return fmt.Errorf("object at byte %d: %w", at, err)
		}
		if e.kind.String() != "" {
			p.make(at, object{e.kind, e.data})
			continue
		}
		p.entries[at] = e
	}
	if r.Len() > 0 {
		return fmt.Errorf("%d bytes follow its last object", r.Len())
	}
	return nil
}

func (p *packReader) entry(r *bytes.Reader, at int64) (e entry, err error) {
	first, err := r.ReadByte()
	if err != nil {
		return e, err
	}
	e.kind = objectType(first >> 4 & 7)
	size := uint64(first & 15)
	for shift := 4; first&0x80 != 0; shift += 7 {
		if first, err = r.ReadByte(); err != nil {
			return e, err
		}
		if shift > 39 {
			return e, errors.New("its size has too many bytes")
		}
		size |= uint64(first&0x7f) << shift
	}
	switch e.kind {
	case typeCommit, typeTree, typeBlob, typeTag:
	case typeOffsetDelta:
		back, err := offset(r)
		if err != nil {
			return e, err
		}
		e.base = at - back
	case typeRefDelta:
		var id [sha1.Size]byte
		if _, err := io.ReadFull(r, id[:]); err != nil {
			return e, err
		}
		e.baseID = hex.EncodeToString(id[:])
	default:
		return e, fmt.Errorf("the type %d is unknown", e.kind)
	}
	if err := p.spend(size); err != nil {
		return e, err
	}
	e.data, err = p.inflate(r, int64(size))
	return e, err
}

// offset reads how far before a delta its base is.
func offset(r *bytes.Reader) (int64, error) {
	b, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	back := int64(b & 0x7f)
	for b&0x80 != 0 {
		if b, err = r.ReadByte(); err != nil {
			return 0, err
		}
		if back > 1<<40 {
			return 0, errors.New("its base offset is out of range")
		}
		back = (back+1)<<7 | int64(b&0x7f)
	}
	return back, nil
}

// inflate reads compressed content of that size. It reads no byte after it.
func (p *packReader) inflate(r *bytes.Reader, size int64) (_ []byte, err error) {
	if p.z == nil {
		p.z, err = zlib.NewReader(r)
	} else {
		err = p.z.(zlib.Resetter).Reset(r, nil)
	}
	if err != nil {
		return nil, err
	}
	var data bytes.Buffer // grows with what there is, whatever the size says
	n, err := data.ReadFrom(io.LimitReader(p.z, size+1))
	if err != nil {
		return nil, err
	}
	if n != size {
		return nil, fmt.Errorf("its size is not %d", size)
	}
	return data.Bytes(), nil
}

func (p *packReader) make(at int64, o object) {
	p.made[at] = o
	p.byID[idOf(o)] = at
}

// idOf is the id of an object.
func idOf(o object) string {
	h := sha1.New()
	fmt.Fprintf(h, "%s %d\x00", o.kind, len(o.data))
	h.Write(o.data)
	return hex.EncodeToString(h.Sum(nil))
}

// resolve makes what the deltas make: in each round those whose bases are made.
func (p *packReader) resolve() error {
	waiting := make(map[int64][]int64) // by the offset of the base
	byID := make(map[string][]int64)
	var ready []int64
	for at, e := range p.entries {
		if e.kind == typeRefDelta {
			byID[e.baseID] = append(byID[e.baseID], at)
		} else {
			waiting[e.base] = append(waiting[e.base], at)
		}
	}
	for at := range p.made {
		ready = append(ready, at)
	}
	for len(ready) > 0 {
		at := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		base := p.made[at]
		id := idOf(base)
		for _, next := range append(waiting[at], byID[id]...) {
			made, err := p.apply(base.data, p.entries[next].data)
			if err != nil {
				return fmt.Errorf("delta at byte %d: %w", next, err)
			}
			p.make(next, object{base.kind, made})
			delete(p.entries, next)
			ready = append(ready, next)
		}
		delete(waiting, at)
		delete(byID, id)
	}
	if len(p.entries) > 0 {
		return fmt.Errorf("the bases of %d deltas are missing", len(p.entries))
	}
	return nil
}

// apply makes an object of its base and a delta: the sizes of both objects, and
// then instructions. One whose highest bit is set copies from the base: the other
// bits say which bytes of the offset (4) and the size (3) follow. Any other is the
// number of bytes that follow and are new.
func (p *packReader) apply(base, delta []byte) ([]byte, error) {
	r := bytes.NewReader(delta)
	from, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	size, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	if from != uint64(len(base)) {
		return nil, fmt.Errorf("its base has %d bytes, and should have %d", len(base), from)
	}
	if err := p.spend(size); err != nil {
		return nil, err
	}
	var out []byte
	for r.Len() > 0 {
		op, _ := r.ReadByte()
		var piece []byte
		switch {
		case op&0x80 != 0:
			start, n, err := copied(op, r)
			if err != nil {
				return nil, err
			}
			if start+n > uint64(len(base)) {
				return nil, errors.New("it copies what its base does not have")
			}
			piece = base[start : start+n]
		case op != 0 && int(op) <= r.Len():
			piece = delta[len(delta)-r.Len():][:op]
			r.Seek(int64(op), io.SeekCurrent)
		default:
			return nil, errors.New("it has an unknown instruction, or is cut off")
		}
		if uint64(len(out)+len(piece)) > size {
			return nil, errors.New("its result is larger than its size")
		}
		out = append(out, piece...)
	}
	if uint64(len(out)) != size {
		return nil, errors.New("its result is smaller than its size")
	}
	return out, nil
}

// copied reads what an instruction copies.
func copied(op byte, r *bytes.Reader) (start, n uint64, err error) {
	for i := range 7 {
		if op&(1<<i) == 0 {
			continue
		}
		b, err := r.ReadByte()
		if err != nil {
			return 0, 0, err
		}
		if i < 4 {
			start |= uint64(b) << (8 * i)
		} else {
			n |= uint64(b) << (8 * (i - 4))
		}
	}
	if n == 0 {
		n = 0x10000
	}
	return start, n, nil
}
