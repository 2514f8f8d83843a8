// Package delta makes profiles that count since the start of a program into profiles
// of what has happened since the one before.
//
// A profile stays as it is encoded, except for the values of its samples. What only
// the samples that are omitted need is omitted too: locations, functions, and the
// text of strings, whose places stay.
package delta

import (
	"errors"
	"fmt"
	"hash/maphash"

	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/protofield"
)

// ValueType is a kind of values in a profile, such as alloc_space in bytes.
type ValueType struct{ Type, Unit string }

// maxCounts is how many values of a sample may count.
const maxCounts = 2

// counts are the values of a sample that count, in the order of the Computer's
// types.
type counts [maxCounts]int64

// Computer compares each profile of a program with the one before. It is for one
// goroutine.
type Computer struct {
	types  []ValueType
	seed   maphash.Seed
	before map[uint64]counts // by the hash of stack and labels; nil: there was no profile
	total  int64             // of the first type
}

// New makes a Computer for values of these types, two at most. The first is one
// that counts events.
func New(types ...ValueType) *Computer {
	if len(types) > maxCounts {
		panic(fmt.Sprintf("BUG: %d types of values count", len(types)))
	}
	return &Computer{types: types, seed: maphash.MakeSeed()}
}

// Delta returns what has been added to a profile, which is not compressed, since the
// one before; nil for the first. A program that has counted less than before has been
// restarted: all that its profile says has been added. After an error, the profile
// before is still the same.
func (c *Computer) Delta(profile []byte) ([]byte, error) {
	p, err := c.read(profile)
	if err != nil {
		return nil, err
	}
	after := make(map[uint64]counts, len(p.entries))
	total := int64(0)
	for i := range p.entries {
		e := &p.entries[i]
		now := p.counts(e)
		after[e.key] = now
		total += now[0]
	}
	var more []byte
	if c.before != nil {
		if total >= c.total { // or else the program has been restarted
			for i := range p.entries {
				p.subtract(&p.entries[i], c.before[p.entries[i].key])
			}
		}
		if more, err = p.encode(profile); err != nil {
			return nil, err
		}
	}
	c.before, c.total = after, total
	return more, nil
}

// counts are the values of an entry that count.
func (p *profile) counts(e *entry) (c counts) {
	for n, at := range p.counting {
		if at >= 0 {
			c[n] = p.values[e.values+at]
		}
	}
	return c
}

// subtract subtracts what was counted before. A profile is scaled up from samples, so
// that a value can be a little less than it was.
func (p *profile) subtract(e *entry, before counts) {
	for n, at := range p.counting {
		if at >= 0 {
			v := &p.values[e.values+at]
			*v = max(0, *v-before[n])
		}
	}
}

// The most that a profile may have: a program's has a tenth of it.
const (
	maxSamples   = 200_000
	maxLocations = 300_000
	maxFunctions = 300_000
	maxStrings   = 1_000_000
	maxMappings  = 10_000
	maxTypes     = 16
)

var (
	errMalformed = errors.New("it is not a profile in pprof's format")
	errTooMany   = errors.New("the profile is too large")
)

// profile is what matters here of a profile.
type profile struct {
	strings   [][]byte
	types     [][2]uint64 // type and unit: strings
	functions map[uint64][]byte
	locations map[uint64][]byte
	mappings  map[uint64][]byte
	counting  [maxCounts]int // the places of the types that count among types; -1: it has none

	entries []entry
	values  []int64 // len(types) of each entry
	samples []int32 // the entry of each sample, in their order
}

// entry is the samples of one stack with the same labels.
type entry struct {
	key     uint64
	values  int // where they begin
	encoded bool
}

func (c *Computer) read(data []byte) (*profile, error) {
	p := &profile{functions: map[uint64][]byte{}, locations: map[uint64][]byte{}, mappings: map[uint64][]byte{}}
	if err := protofield.Each(data, p.collect); err != nil {
		return nil, err
	}
	if len(p.types) == 0 {
		return nil, fmt.Errorf("%w: it has no sample_type", errMalformed)
	}
	if err := p.place(c.types); err != nil {
		return nil, err
	}
	h := &hasher{profile: p, known: make(map[uint64]uint64, len(p.locations))}
	h.hash.SetSeed(c.seed)
	index := map[uint64]int32{}
	err := protofield.Each(data, func(f protofield.Field) error {
		if f.Number != fieldSample {
			return nil
		}
		return p.add(f.Content, h, index)
	})
	return p, err
}

// The fields of a profile.
const (
	fieldType        protowire.Number = 1
	fieldSample      protowire.Number = 2
	fieldMapping     protowire.Number = 3
	fieldLocation    protowire.Number = 4
	fieldFunction    protowire.Number = 5
	fieldString      protowire.Number = 6
	fieldDropFrames  protowire.Number = 7
	fieldKeepFrames  protowire.Number = 8
	fieldPeriodType  protowire.Number = 11
	fieldComment     protowire.Number = 13
	fieldDefaultType protowire.Number = 14
	fieldURL         protowire.Number = 15
)

// collect records one field of a profile.
func (p *profile) collect(f protofield.Field) error {
	switch f.Number {
	case fieldType:
		var t [2]uint64
		if len(p.types) == maxTypes {
			return errTooMany
		}
		err := protofield.Each(f.Content, func(f protofield.Field) error {
			if f.Number == 1 || f.Number == 2 {
				t[f.Number-1] = f.Value
			}
			return nil
		})
		p.types = append(p.types, t)
		return err
	case fieldString:
		if len(p.strings) == maxStrings {
			return errTooMany
		}
		p.strings = append(p.strings, f.Content)
	case fieldMapping:
		return keep(p.mappings, f.Content, maxMappings)
	case fieldLocation:
		return keep(p.locations, f.Content, maxLocations)
	case fieldFunction:
		return keep(p.functions, f.Content, maxFunctions)
	case fieldPeriodType:
		return protofield.Each(f.Content, func(protofield.Field) error { return nil })
	case fieldDropFrames, fieldKeepFrames, fieldComment, fieldDefaultType, fieldURL:
		return f.Varints(func(uint64) error { return nil })
	}
	return nil
}

// keep notes a message by its id, which is its field 1.
func keep(all map[uint64][]byte, message []byte, limit int) error {
	id := uint64(0)
	err := protofield.Each(message, func(f protofield.Field) error {
		if f.Number == 1 {
			id = f.Value
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(all) == limit {
		return errTooMany
	}
	all[id] = message
	return nil
}

// place finds the values that count.
func (p *profile) place(types []ValueType) error {
	for n := range p.counting {
		p.counting[n] = -1
	}
	for n, wanted := range types {
		for at, t := range p.types {
			kind, err := p.text(t[0])
			if err != nil {
				return err
			}
			unit, err := p.text(t[1])
			if err != nil {
				return err
			}
			if string(kind) == wanted.Type && string(unit) == wanted.Unit {
				p.counting[n] = at
			}
		}
	}
	return nil
}

func (p *profile) text(i uint64) ([]byte, error) {
	if i >= uint64(len(p.strings)) {
		return nil, fmt.Errorf("%w: there is no string %d", errMalformed, i)
	}
	return p.strings[i], nil
}

// add adds a sample to the others of its stack.
func (p *profile) add(message []byte, h *hasher, index map[uint64]int32) error {
	if len(p.samples) == maxSamples {
		return errTooMany
	}
	key, err := h.sample(message)
	if err != nil {
		return err
	}
	at, known := index[key]
	if !known {
		at = int32(len(p.entries))
		index[key] = at
		p.entries = append(p.entries, entry{key: key, values: len(p.values)})
		p.values = append(p.values, make([]int64, len(p.types))...)
	}
	p.samples = append(p.samples, at)
	n := 0
	err = protofield.Each(message, func(f protofield.Field) error {
		if f.Number != sampleValue {
			return nil
		}
		return f.Varints(func(v uint64) error {
			if n == len(p.types) {
				return fmt.Errorf("%w: a sample has more values than there are types", errMalformed)
			}
			p.values[p.entries[at].values+n] += int64(v)
			n++
			return nil
		})
	})
	if err == nil && n < len(p.types) {
		err = fmt.Errorf("%w: a sample has %d values of %d", errMalformed, n, len(p.types))
	}
	return err
}
