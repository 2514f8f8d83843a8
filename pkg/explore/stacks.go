package explore

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// What is read of a pprof. Its samples are walked over in place, for a
// profile of a few kilobytes may unpack to millions of them, and a decoded one
// takes a hundred times what it takes on the wire.
const (
	// maxUnpacked bounds a profile after decompression, whatever the window.
	maxUnpacked = 16 << 20
	// unpackedShare is how many times a window's limit a profile may be then.
	unpackedShare = 4
	maxSamples    = 200_000
	maxLocations  = 100_000 // and functions
	maxLines      = 200_000
	maxStrings    = 300_000
	maxTypes      = 32
	// maxStack is how many functions of a stack count, the innermost.
	maxStack = 16 << 10
	// maxName is how much of a function's name is kept.
	maxName = 1 << 10
	// lookEvery is how many samples are read between two looks at a context.
	lookEvery = 256
)

// unpackedLimit is how large a profile may be when it is unpacked.
func unpackedLimit(window int) int { return min(unpackedShare*window, maxUnpacked) }

// stacks is a pprof whose samples are not decoded.
type stacks struct {
	raw       []byte // unpacked
	types     []ProfileType
	samples   int
	locations map[uint64]span
	lines     []uint64          // of all locations: ids of functions, then their names
	functions map[uint64]uint64 // the index of the name among strings, by id
	strings   [][]byte          // parts of raw
}

// span is a part of stacks.lines.
type span struct{ from, to int }

// stack is one sample: its functions, the innermost first, and its values.
type stack struct {
	functions []uint64 // indices of their names
	values    []uint64
	ids       []uint64 // of its locations
}

var errPprof = errors.New("decode a profile: invalid data")

func tooMany(n int, of string) error {
	return fmt.Errorf("a profile has more than %d %s", n, of)
}

// readStacks reads a pprof that is not compressed.
func readStacks(raw []byte) (*stacks, error) {
	s := &stacks{raw: raw, locations: map[uint64]span{}, functions: map[uint64]uint64{}}
	var types [][2]uint64
	m := message{rest: raw}
	for m.next() {
		switch m.number {
		case 1:
			kind := message{rest: m.bytes}
			types = append(types, kind.pair(1, 2))
			m.fail(kind.err)
		case 2:
			s.samples++
		case 4:
			m.fail(s.location(m.bytes))
		case 5:
			function := message{rest: m.bytes}
			about := function.pair(1, 2)
			if _, twice := s.functions[about[0]]; twice || about[0] == 0 {
				m.fail(errPprof)
			}
			s.functions[about[0]] = about[1]
			m.fail(function.err)
		case 6:
			s.strings = append(s.strings, m.bytes)
		}
		m.fail(s.bounds(len(types)))
	}
	if m.err != nil {
		return nil, m.err
	}
	return s, s.resolve(types)
}

// unpack unpacks what is compressed. In either way it is at most limit bytes.
func unpack(raw []byte, limit int) ([]byte, error) {
	if bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		zipped, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, fmt.Errorf("unpack a profile: %w", err)
		}
		if raw, err = io.ReadAll(io.LimitReader(zipped, int64(limit)+1)); err != nil {
			return nil, fmt.Errorf("unpack a profile: %w", err)
		}
	}
	if len(raw) > limit {
		return nil, fmt.Errorf("a profile is larger than %d bytes uncompressed", limit)
	}
	return raw, nil
}

func (s *stacks) bounds(types int) error {
	switch {
	case s.samples > maxSamples:
		return tooMany(maxSamples, "samples")
	case len(s.locations) > maxLocations:
		return tooMany(maxLocations, "locations")
	case len(s.functions) > maxLocations:
		return tooMany(maxLocations, "functions")
	case len(s.lines) > maxLines:
		return tooMany(maxLines, "lines")
	case len(s.strings) > maxStrings:
		return tooMany(maxStrings, "strings")
	case types > maxTypes:
		return tooMany(maxTypes, "types of values")
	}
	return nil
}

func (s *stacks) location(data []byte) error {
	id, from := uint64(0), len(s.lines)
	m := message{rest: data}
	for m.next() {
		switch m.number {
		case 1:
			id = m.value
		case 4:
			line := message{rest: m.bytes}
			s.lines = append(s.lines, line.pair(1, 2)[0])
			m.fail(line.err)
		}
	}
	if _, twice := s.locations[id]; twice || id == 0 {
		m.fail(errPprof)
	}
	s.locations[id] = span{from, len(s.lines)}
	return m.err
}

// resolve puts names in place of what refers to them.
func (s *stacks) resolve(types [][2]uint64) error {
	for i, id := range s.lines {
		name, ok := s.functions[id]
		if !ok || name >= uint64(len(s.strings)) {
			return errPprof
		}
		s.lines[i] = name
	}
	for _, kind := range types {
		if max(kind[0], kind[1]) >= uint64(len(s.strings)) {
			return errPprof
		}
		s.types = append(s.types, ProfileType{Name: s.text(kind[0]), Unit: s.text(kind[1])})
	}
	return nil
}

// text is a copy of a string, which may be cut.
func (s *stacks) text(i uint64) string {
	text := string(s.strings[i][:min(len(s.strings[i]), maxName)])
	return strings.ToValidUTF8(text, "\uFFFD")
}

// each calls do for each sample, with what is valid until do returns, until do
// returns false. deep reports whether it needs the functions.
func (s *stacks) each(ctx context.Context, deep bool, do func(*stack) bool) error {
	at, n := &stack{}, 0
	m := message{rest: s.raw}
	for m.next() {
		if m.number != 2 {
			continue
		}
		if n++; n%lookEvery == 0 && ctx.Err() != nil {
			return ctx.Err() // whoever asked has given up
		}
		if err := s.read(m.bytes, at, deep); err != nil {
			return err
		}
		if !do(at) {
			return nil
		}
	}
	return m.err
}

func (s *stacks) read(data []byte, at *stack, deep bool) error {
	at.ids, at.values, at.functions = at.ids[:0], at.values[:0], at.functions[:0]
	m := message{rest: data}
	for m.next() {
		switch m.number {
		case 1:
			at.ids = m.numbers(at.ids, maxStack)
		case 2:
			at.values = m.numbers(at.values, maxTypes+1)
		}
	}
	if m.err == nil && len(at.values) != len(s.types) {
		return errPprof
	}
	for _, id := range at.ids {
		part, ok := s.locations[id]
		if !ok {
			return errPprof
		}
		if lines := s.lines[part.from:part.to]; deep {
			at.functions = append(at.functions, lines[:min(len(lines), maxStack-len(at.functions))]...)
		}
	}
	return m.err
}

// totals sums up the values of each type.
func (s *stacks) totals() error {
	return s.each(context.Background(), false, func(at *stack) bool {
		for i, v := range at.values {
			s.types[i].Total += int64(v)
		}
		return true
	})
}

// message reads the fields of a protobuf message one by one. After the last one,
// or an error, next is false.
type message struct {
	rest   []byte
	number protowire.Number
	value  uint64 // of a number
	bytes  []byte // of all else, a part of the message
	packed bool   // whether it is bytes
	err    error
}

func (m *message) fail(err error) {
	if m.err == nil {
		m.err = err
	}
}

func (m *message) next() bool {
	if len(m.rest) == 0 || m.err != nil {
		return false
	}
	// The library for pprof, and so Pyroscope, skips fields of numbers that
	// protobuf does not allow, where ConsumeTag fails.
	tag, n := protowire.ConsumeVarint(m.rest)
	if n >= 0 {
		number, kind := protowire.Number(min(tag>>3, math.MaxInt32)), protowire.Type(tag&7)
		m.rest = m.rest[n:]
		m.number, m.value, m.bytes, m.packed = number, 0, nil, false
		switch kind {
		case protowire.VarintType:
			m.value, n = protowire.ConsumeVarint(m.rest)
		case protowire.BytesType:
			m.bytes, n = protowire.ConsumeBytes(m.rest)
			m.packed = true
		default:
			n = protowire.ConsumeFieldValue(number, kind, m.rest)
		}
	}
	if n < 0 {
		m.err = fmt.Errorf("decode a profile: %w", protowire.ParseError(n))
		return false
	}
	m.rest = m.rest[n:]
	return true
}

// pair reads all of m for the numbers in two of its fields.
func (m *message) pair(a, b protowire.Number) (values [2]uint64) {
	for m.next() {
		switch m.number {
		case a:
			values[0] = m.value
		case b:
			values[1] = m.value
		}
	}
	return values
}

// numbers appends the numbers of a repeated field to all, of which no more than
// limit are kept.
func (m *message) numbers(all []uint64, limit int) []uint64 {
	if !m.packed {
		if len(all) < limit {
			all = append(all, m.value)
		}
		return all
	}
	for rest := m.bytes; len(rest) > 0; {
		v, n := protowire.ConsumeVarint(rest)
		if n < 0 {
			m.err = fmt.Errorf("decode a profile: %w", protowire.ParseError(n))
			return all
		}
		if rest = rest[n:]; len(all) < limit {
			all = append(all, v)
		}
	}
	return all
}
