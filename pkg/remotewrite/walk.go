package remotewrite

import (
	"errors"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/queue"
)

var errMalformed = errors.New("a block does not hold a WriteRequest")

// entry is one field of a WriteRequest: a series with its samples, or the
// metadata of a family. It points into the bytes that it was read from.
type entry struct {
	field    []byte // all of it, with its tag and length
	metadata []byte // the message, when it is metadata
	labels   []byte // of a series: the fields labels
	rest     []byte // of a series: the fields after them

	floats, histograms, exemplars int
	minTime, maxTime              int64 // of samples and histograms; of exemplars when there are no others
}

func (e *entry) items() int { return e.floats + e.histograms }

// nextEntry reads the first entry of raw and returns what follows it.
func nextEntry(raw []byte) (e entry, tail []byte, err error) {
	message, n := protowire.ConsumeBytes(raw[1:])
	if n < 0 {
		return entry{}, nil, errMalformed
	}
	e.field, tail = raw[:1+n], raw[1+n:]
	switch raw[0] {
	case tagMetadata:
		e.metadata = message
		return e, tail, nil
	case tagTimeseries:
		return e, tail, e.readSeries(message)
	}
	return entry{}, nil, errMalformed
}

func (e *entry) readSeries(message []byte) error {
	rest := message
	for len(rest) > 0 && rest[0] == tagLabels {
		_, n := protowire.ConsumeBytes(rest[1:])
		if n < 0 {
			return errMalformed
		}
		rest = rest[1+n:]
	}
	e.labels, e.rest = message[:len(message)-len(rest)], rest
	e.minTime, e.maxTime = math.MaxInt64, math.MinInt64
	for len(rest) > 0 {
		tag := rest[0]
		field, n := protowire.ConsumeBytes(rest[1:])
		if n < 0 {
			return errMalformed
		}
		rest = rest[1+n:]
		var timeField protowire.Number
		switch tag {
		case tagSamples:
			e.floats, timeField = e.floats+1, 2
		case tagHistograms:
			e.histograms, timeField = e.histograms+1, 15
		case tagExemplars:
			e.exemplars, timeField = e.exemplars+1, 3
		default:
			return errMalformed
		}
		t, err := varintField(field, timeField)
		if err != nil {
			return err
		}
		e.minTime, e.maxTime = min(e.minTime, t), max(e.maxTime, t)
	}
	return nil
}

// varintField returns the value of a varint field of message, 0 when it is
// absent.
func varintField(message []byte, want protowire.Number) (int64, error) {
	value := int64(0)
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return 0, errMalformed
		}
		message = message[n:]
		if number == want && kind == protowire.VarintType {
			v, n := protowire.ConsumeVarint(message)
			if n < 0 {
				return 0, errMalformed
			}
			value, message = int64(v), message[n:]
			continue
		}
		n = protowire.ConsumeFieldValue(number, kind, message)
		if n < 0 {
			return 0, errMalformed
		}
		message = message[n:]
	}
	return value, nil
}

// addField appends e as it is.
func (b *batch) addField(e *entry) {
	b.count(e)
	b.raw = append(b.raw, e.field...)
}

// count adds e to what b holds.
func (b *batch) count(e *entry) {
	if e.metadata != nil {
		b.metadata++
		b.metadataBytes += len(e.field)
		return
	}
	if e.items() > 0 {
		b.seen(e.minTime)
		if e.maxTime > b.maxTime {
			b.maxTime = e.maxTime
		}
	}
	b.items += e.items()
	b.histograms += e.histograms
	b.exemplars += e.exemplars
}

// halve cuts a block into two that hold its entries between them, in order; it
// returns nil when the block has only one.
func (c *codec) halve(b queue.Block) ([]queue.Block, error) {
	source := c.batch()
	defer c.release(source)
	raw, err := c.decode(source.raw, b)
	if err != nil {
		return nil, err
	}
	source.raw = raw
	var entries []entry
	for tail := raw; len(tail) > 0; {
		var e entry
		if e, tail, err = nextEntry(tail); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	if len(entries) < 2 {
		return nil, nil
	}
	middle := len(entries) / 2
	halves := make([]queue.Block, 0, 2)
	for _, part := range [][]entry{entries[:middle], entries[middle:]} {
		var half batch // its buffer becomes the block's, so it is not a pooled one
		for i := range part {
			half.addField(&part[i])
		}
		halves = append(halves, c.block(&half, encoding(b.Tag)))
	}
	return halves, nil
}
