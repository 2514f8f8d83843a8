package delta

import (
	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/protofield"
)

// encoder writes a profile with other values.
type encoder struct {
	*profile
	locations, functions map[uint64]bool // that are needed
	strings              []bool          // that are needed
}

// encode is data, from which p was read, with the values that p has now.
func (p *profile) encode(data []byte) ([]byte, error) {
	e := &encoder{
		profile: p, locations: map[uint64]bool{}, functions: map[uint64]bool{}, strings: make([]bool, len(p.strings)),
	}
	if err := e.mark(data); err != nil {
		return nil, err
	}
	for i := range p.entries {
		p.entries[i].encoded = false
	}
	out := make([]byte, 0, len(data)/2)
	sample, text := 0, 0
	err := protofield.Each(data, func(f protofield.Field) error {
		switch f.Number {
		case fieldSample:
			var err error
			out, err = e.sample(out, f.Content, sample)
			sample++
			return err
		case fieldString:
			if !e.strings[text] && text > 0 {
				f.Encoded = protowire.AppendBytes(protowire.AppendTag(nil, fieldString, protowire.BytesType), nil)
			}
			text++
		case fieldLocation:
			if !e.locations[idOf(f.Content)] {
				return nil
			}
		case fieldFunction:
			if !e.functions[idOf(f.Content)] {
				return nil
			}
		}
		out = append(out, f.Encoded...)
		return nil
	})
	return out, err
}

// idOf is the id of a message that has been read before.
func idOf(message []byte) (id uint64) {
	_ = protofield.Each(message, func(f protofield.Field) error {
		if f.Number == 1 {
			id = f.Value
		}
		return nil
	})
	return id
}

// wanted reports whether a sample is written: one of each stack, unless all of its
// values are 0.
func (e *encoder) wanted(sample int) bool {
	entry := &e.entries[e.samples[sample]]
	if entry.encoded {
		return false
	}
	entry.encoded = true
	for _, v := range e.values[entry.values : entry.values+len(e.types)] {
		if v != 0 {
			return true
		}
	}
	return false
}

// sample appends a sample with its new values, if it is written.
func (e *encoder) sample(out, message []byte, sample int) ([]byte, error) {
	if !e.wanted(sample) {
		return out, nil
	}
	var m []byte
	err := protofield.Each(message, func(f protofield.Field) error {
		if f.Number != sampleValue {
			m = append(m, f.Encoded...)
		}
		return nil
	})
	var packed []byte
	at := e.entries[e.samples[sample]].values
	for _, v := range e.values[at : at+len(e.types)] {
		packed = protowire.AppendVarint(packed, uint64(v))
	}
	m = protowire.AppendTag(m, sampleValue, protowire.BytesType)
	m = protowire.AppendBytes(m, packed)
	out = protowire.AppendTag(out, fieldSample, protowire.BytesType)
	return protowire.AppendBytes(out, m), err
}

// mark finds out what is needed.
func (e *encoder) mark(data []byte) error {
	sample := 0
	err := protofield.Each(data, func(f protofield.Field) error {
		switch f.Number {
		case fieldSample:
			sample++
			if !e.wanted(sample - 1) {
				return nil
			}
			return e.markSample(f.Content)
		case fieldType, fieldPeriodType:
			return e.markStrings(f.Content, 1, 2)
		case fieldDropFrames, fieldKeepFrames, fieldComment, fieldDefaultType, fieldURL:
			return f.Varints(e.markString)
		case fieldMapping:
			return e.markStrings(f.Content, 5, 6)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for id := range e.locations {
		if err := e.markLocation(e.profile.locations[id]); err != nil {
			return err
		}
	}
	for id := range e.functions {
		if err := e.markStrings(e.profile.functions[id], 2, 3, 4); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) markSample(message []byte) error {
	return protofield.Each(message, func(f protofield.Field) error {
		switch f.Number {
		case sampleLocation:
			return f.Varints(func(id uint64) error {
				e.locations[id] = true
				return nil
			})
		case sampleLabel:
			return e.markStrings(f.Content, 1, 2, 4)
		}
		return nil
	})
}

func (e *encoder) markLocation(message []byte) error {
	return protofield.Each(message, func(f protofield.Field) error {
		if f.Number != locationLine {
			return nil
		}
		return protofield.Each(f.Content, func(f protofield.Field) error {
			if f.Number == lineFunction {
				e.functions[f.Value] = true
			}
			return nil
		})
	})
}

// markStrings marks the strings to which some fields of a message refer.
func (e *encoder) markStrings(message []byte, numbers ...protowire.Number) error {
	return protofield.Each(message, func(f protofield.Field) error {
		for _, number := range numbers {
			if f.Number == number {
				return e.markString(f.Value)
			}
		}
		return nil
	})
}

func (e *encoder) markString(i uint64) error {
	if i < uint64(len(e.strings)) {
		e.strings[i] = true
	}
	return nil
}
