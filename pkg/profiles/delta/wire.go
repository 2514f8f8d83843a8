package delta

import (
	"encoding/binary"
	"hash/maphash"

	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/protofield"
)

// The fields of a sample, and those of others that hold ids.
const (
	sampleLocation  protowire.Number = 1
	sampleValue     protowire.Number = 2
	sampleLabel     protowire.Number = 3
	locationMapping protowire.Number = 2
	locationAddress protowire.Number = 3
	locationLine    protowire.Number = 4
	lineFunction    protowire.Number = 1
)

// hasher makes hashes of what samples are of, by their contents: the ids of
// locations and functions differ from profile to profile.
type hasher struct {
	*profile
	hash  maphash.Hash
	known map[uint64]uint64 // of locations, by their ids
}

func (h *hasher) number(n uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	_, _ = h.hash.Write(b[:]) // never fails
}

func (h *hasher) string(i uint64) error {
	text, err := h.text(i)
	if err != nil {
		return err
	}
	h.number(uint64(len(text)))
	_, _ = h.hash.Write(text) // never fails
	return nil
}

// sample is the hash of a sample's stack and labels.
func (h *hasher) sample(message []byte) (uint64, error) {
	err := protofield.Each(message, func(f protofield.Field) error {
		if f.Number != sampleLocation {
			return nil
		}
		return f.Varints(func(id uint64) error {
			_, known := h.known[id]
			if known {
				return nil
			}
			hash, err := h.location(id)
			h.known[id] = hash
			return err
		})
	})
	if err != nil {
		return 0, err
	}
	h.hash.Reset()
	err = protofield.Each(message, func(f protofield.Field) error {
		switch f.Number {
		case sampleLocation:
			return f.Varints(func(id uint64) error {
				h.number(h.known[id])
				return nil
			})
		case sampleLabel:
			return h.label(f.Content)
		}
		return nil
	})
	return h.hash.Sum64(), err
}

// label adds a label of a sample: key, str, num and num_unit.
func (h *hasher) label(message []byte) error {
	var values [5]uint64
	err := protofield.Each(message, func(f protofield.Field) error {
		if f.Number < protowire.Number(len(values)) {
			values[f.Number] = f.Value
		}
		return nil
	})
	if err != nil {
		return err
	}
	h.number(^uint64(0)) // what follows is no location
	h.number(values[3])
	for _, i := range []int{1, 2, 4} {
		if err := h.string(values[i]); err != nil {
			return err
		}
	}
	return nil
}

// location is the hash of a location. One that is missing has none.
func (h *hasher) location(id uint64) (uint64, error) {
	h.hash.Reset()
	err := protofield.Each(h.locations[id], func(f protofield.Field) error {
		switch f.Number {
		case locationMapping:
			return h.strings(h.mappings[f.Value], 5, 6) // file and build
		case locationAddress:
			h.number(f.Value)
		case locationLine:
			return protofield.Each(f.Content, func(f protofield.Field) error {
				if f.Number == lineFunction {
					return h.strings(h.functions[f.Value], 2, 3, 4) // name, system name and file
				}
				h.number(f.Value)
				return nil
			})
		}
		return nil
	})
	return h.hash.Sum64(), err
}

// strings adds the strings to which some fields of a message refer.
func (h *hasher) strings(message []byte, numbers ...protowire.Number) error {
	return protofield.Each(message, func(f protofield.Field) error {
		for _, number := range numbers {
			if f.Number == number {
				return h.string(f.Value)
			}
		}
		return nil
	})
}
