package protofield

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

func TestEachFieldIsWhatItIs(t *testing.T) {
	var m []byte
	m = protowire.AppendVarint(protowire.AppendTag(m, 1, protowire.VarintType), 300)
	m = protowire.AppendFixed64(protowire.AppendTag(m, 2, protowire.Fixed64Type), 1<<40)
	m = protowire.AppendBytes(protowire.AppendTag(m, 3, protowire.BytesType), []byte{1, 0x80, 1})
	m = protowire.AppendFixed32(protowire.AppendTag(m, 4, protowire.Fixed32Type), 7)
	m = protowire.AppendBytes(protowire.AppendTag(m, 5, protowire.BytesType), make([]byte, 16))
	var numbers []uint64
	keep := func(v uint64) error { numbers = append(numbers, v); return nil }
	err := Each(m, func(f Field) error {
		switch f.Number {
		case 1, 3:
			return f.Varints(keep)
		case 2, 5:
			if f.Fixed == f.Bytes {
				t.Errorf("%+v", f)
			}
			return f.Fixed64s(keep)
		}
		return nil
	})
	if want := []uint64{300, 1 << 40, 1, 128, 0, 0}; err != nil || !slices.Equal(numbers, want) {
		t.Errorf("%v, %v", numbers, err)
	}
	for name, bad := range map[string][]byte{"a tag": {0xff}, "a length": {0x0a, 5, 1}, "a number": {0x08, 0x80}, "the number 0": {0, 0}} {
		if err := Each(bad, func(Field) error { return nil }); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	odd := Field{Bytes: true, Content: []byte{0x80}}
	if odd.Varints(keep) == nil || odd.Fixed64s(keep) == nil {
		t.Error("half a number is one")
	}
}

// FuzzEach: the fields are the message, and nothing else.
func FuzzEach(f *testing.F) {
	f.Add([]byte{0x08, 1, 0x12, 1, 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		var joined []byte
		err := Each(data, func(f Field) error {
			joined = append(joined, f.Encoded...)
			_ = f.Varints(func(uint64) error { return nil })
			_ = f.Fixed64s(func(uint64) error { return nil })
			return nil
		})
		if err == nil && !bytes.Equal(joined, data) || !bytes.HasPrefix(data, joined) {
			t.Fatalf("%x: %x, %v", data, joined, err)
		}
	})
}
