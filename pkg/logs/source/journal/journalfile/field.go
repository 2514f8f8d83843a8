package journalfile

import (
	"bytes"
	"strings"
)

// How a field is compressed.
const (
	packedXZ = 1 << iota
	packedLZ4
	packedZstd
	packedFlags = 1<<iota - 1
)

const (
	// maxFields bounds the fields of an entry; systemd writes no more.
	maxFields = 4096
	// minFields is how many bytes of fields an entry may have whatever the limit is.
	minFields = 1 << 20
	// maxName bounds the name of a field; systemd takes 64 bytes.
	maxName = 256
	// cachedValue is the length of values that are kept for the next entry that has
	// them, cachedFields their number.
	cachedValue  = 512
	cachedFields = 2048
	// maxPacked bounds the compressed bytes of a field.
	maxPacked = 64 << 20
)

// Field is a field of an entry.
type Field struct {
	Name  string
	Value string
	Size  int64 // of the value, of which Value may be the beginning only
	Whole bool  // Value is the whole
}

// Fields appends the fields of an entry to dst, in the order of the file. Of a value, it
// returns no more than the first limit bytes. bad is how many fields are damaged, or come
// after fields of four times limit and a MiB.
func (f *File) Fields(dst []Field, e Entry, limit int) (out []Field, bad int, err error) {
	n := (e.size - entryHeader) / f.itemSize()
	if n > maxFields {
		bad, n = int(min(n-maxFields, 1<<30)), maxFields
	}
	left := max(4*limit, minFields)
	for i := range n {
		if left == 0 {
			return dst, bad + int(n-i), nil
		}
		offset, err := f.offset(e.Offset + entryHeader + i*f.itemSize())
		if err != nil {
			return dst, bad, err
		}
		field, err := f.field(offset, min(limit, left))
		switch {
		case err == nil:
			left = max(0, left-len(field.Value))
			dst = append(dst, field)
		case isDamage(err):
			bad++
		default:
			return dst, bad, err
		}
	}
	return dst, bad, nil
}

// field reads a data object.
func (f *File) field(offset uint64, limit int) (Field, error) {
	if cached, ok := f.fields[offset]; ok && len(cached.Value) <= limit {
		return cached, nil
	}
	head := f.dataHeader()
	o, err := f.objectOf(typeData, offset, head)
	if err != nil {
		return Field{}, err
	}
	entries, err := f.u64(offset + 56)
	if err != nil {
		return Field{}, err
	}
	text, size, err := f.payload(o, head, maxName+1+limit)
	if err != nil {
		return Field{}, err
	}
	name, value, ok := bytes.Cut(text, []byte{'='})
	if !ok || len(name) == 0 || len(name) > maxName {
		return Field{}, damaged(offset, "a field has no name")
	}
	out := Field{Name: f.dec.name(name), Size: size - int64(len(name)) - 1}
	value = value[:min(len(value), limit)]
	out.Value, out.Whole = string(value), int64(len(value)) == out.Size
	if entries > 1 && out.Whole && len(value) <= cachedValue {
		if f.fields == nil || len(f.fields) >= cachedFields {
			f.fields = make(map[uint64]Field)
		}
		f.fields[offset] = out
	}
	return out, nil
}

// payload returns the beginning of what a data object holds, and its whole size.
func (f *File) payload(o object, head uint64, limit int) (text []byte, size int64, err error) {
	from, n := o.offset+head, o.size-head
	if o.flags&packedFlags == 0 {
		text, err := f.bytes(from, min(n, uint64(limit)))
		return text, int64(n), err
	}
	packed, err := f.bytes(from, min(n, maxPacked))
	if err != nil {
		return nil, 0, err
	}
	text, size, why := f.dec.decompress(o.flags, packed, limit)
	if why != "" {
		return nil, 0, damaged(o.offset, why)
	}
	return text, size, nil
}

// name returns a string that is shared by all fields of that name.
func (d *Decoder) name(b []byte) string {
	if s, ok := d.names[string(b)]; ok {
		return s
	}
	if d.names == nil || len(d.names) >= maxFields {
		d.names = make(map[string]string)
	}
	s := strings.Clone(string(b))
	d.names[s] = s
	return s
}
