package wire

import (
	"slices"

	"collector/pkg/pipeline"
)

// Part is a piece of a request, which is a request itself.
type Part struct {
	Data  []byte
	Items int
}

// Split cuts a request into requests that hold its items between them, in
// order, each with the resource, the scope and, for data points, the metric to
// which its items belong. None is longer than maxBytes or has more items than
// maxItems (0: no such limit), except that one item is never cut.
//
// data is a request that Measure accepts.
func Split(s pipeline.Signal, data []byte, maxBytes, maxItems int) ([]Part, error) {
	sp := splitter{maxBytes: maxBytes, maxItems: maxItems}
	root := requestOf(s)
	header, err := without(data, fieldResources, fieldResources)
	if err != nil {
		return nil, err
	}
	sp.root = header
	err = eachField(data, func(num int32, value, _ []byte) error {
		if num != fieldResources {
			return nil
		}
		return sp.cut(num, value, message(root.fields()[fieldResources-1]))
	})
	if err != nil {
		return nil, err
	}
	sp.flush()
	return sp.parts, nil
}

// splitter writes parts. The messages on the way from the request down to the
// current item are its frames; they are written when the first item of a part
// is, so that each part repeats just the frames that it needs.
type splitter struct {
	maxBytes, maxItems int

	root   []byte // unknown fields of the request
	parts  []Part
	out    []byte
	items  int
	frames []frame
	open   int // how many of the frames have been begun in out
}

type frame struct {
	num    int32
	header []byte // its fields other than what it is cut by
	start  int    // where its body begins in out, while open
	used   bool   // some part has it
}

// cut writes field num, a message of type m, cutting it where it must be.
func (sp *splitter) cut(num int32, value []byte, m message) error {
	child, inner, err := m.cutBy(value)
	if err != nil {
		return err
	}
	if child == 0 {
		n, err := walkMessage(value, m, 0, new(int))
		if err != nil {
			return err
		}
		sp.leaf(num, value, n)
		return nil
	}
	drop := child
	if m.isResource() {
		drop = fieldDeprecatedScopes // hidden by the current ones
	}
	header, err := without(value, child, drop)
	if err != nil {
		return err
	}
	sp.frames = append(sp.frames, frame{num: num, header: header})
	err = eachField(value, func(n int32, v, _ []byte) error {
		if n != child {
			return nil
		}
		return sp.cut(n, v, inner)
	})
	sp.end()
	return err
}

// cutBy reports which field of m, a message whose bytes are value, holds the
// messages that its items are in; 0 when m is not to be cut.
func (m message) cutBy(value []byte) (num int32, inner message, err error) {
	switch m {
	case msgResourceSpans, msgResourceMetrics, msgResourceLogs:
		num = fieldDeprecatedScopes
		err = eachField(value, func(n int32, _, _ []byte) error {
			if n == fieldScopes {
				num = fieldScopes
			}
			return nil
		})
		return num, m.scopes(), err
	case msgScopeSpans, msgScopeMetrics, msgScopeLogs:
		return fieldScopeItems, message(m.fields()[fieldScopeItems-1]), nil
	case msgGauge, msgSum, msgHistogram, msgExponentialHistogram, msgSummary:
		return fieldDataPoints, message(m.fields()[fieldDataPoints-1]), nil
	case msgMetric:
		kinds := 0
		err = eachField(value, func(n int32, _, _ []byte) error {
			if isMetricData(n) {
				num = n
				kinds++
			}
			return nil
		})
		if kinds != 1 { // none, or several of which the last one counts
			return 0, 0, err
		}
		return num, message(m.fields()[num-1]), err
	}
	return 0, 0, nil
}

// leaf writes a field as it is, into the current part or into the next one.
func (sp *splitter) leaf(num int32, value []byte, items int) {
	sp.begin(sizeUvarint(uint64(num)<<3)+sizeUvarint(uint64(len(value)))+len(value), items)
	sp.out = appendTag(sp.out, num)
	sp.out = appendUvarint(sp.out, uint64(len(value)))
	sp.out = append(sp.out, value...)
	sp.items += items
}

// begin makes sure that the current part has room for size bytes and items
// items, and that all frames are open in it.
func (sp *splitter) begin(size, items int) {
	const perFrame = 3 + 5 // at most, for a tag and a length
	need := len(sp.out) + size + perFrame*len(sp.frames)
	for _, f := range sp.frames[sp.open:] {
		need += len(f.header)
	}
	if len(sp.out) > 0 && (sp.maxBytes > 0 && need > sp.maxBytes || sp.maxItems > 0 && sp.items+items > sp.maxItems) {
		sp.flush()
	}
	if len(sp.out) == 0 {
		sp.out = append(sp.out, sp.root...)
	}
	for i := sp.open; i < len(sp.frames); i++ {
		f := &sp.frames[i]
		sp.out = appendTag(sp.out, f.num)
		f.start = len(sp.out)
		f.used = true
		sp.out = append(sp.out, f.header...)
	}
	sp.open = len(sp.frames)
}

// end leaves the innermost frame. One that has nothing in it is kept, empty.
func (sp *splitter) end() {
	last := len(sp.frames) - 1
	if !sp.frames[last].used {
		sp.begin(0, 0)
	}
	if sp.open > last {
		sp.close(sp.frames[last])
		sp.open = last
	}
	sp.frames = sp.frames[:last]
}

// close puts the length of an open frame's body before it.
func (sp *splitter) close(f frame) {
	n := uint64(len(sp.out) - f.start)
	var length [10]byte
	sp.out = slices.Insert(sp.out, f.start, appendUvarint(length[:0], n)...)
}

// flush ends the current part.
func (sp *splitter) flush() {
	for ; sp.open > 0; sp.open-- {
		sp.close(sp.frames[sp.open-1])
	}
	if len(sp.out) > 0 {
		sp.parts = append(sp.parts, Part{Data: sp.out, Items: sp.items})
	}
	sp.out, sp.items = nil, 0
}

// eachField calls f for each field of a message, with its number, its value
// when it is length-delimited, and all its bytes.
func eachField(b []byte, f func(num int32, value, all []byte) error) error {
	for pos := 0; pos < len(b); {
		num, value, next, err := fieldAt(b, pos)
		if err != nil {
			return err
		}
		if err := f(num, value, b[pos:next]); err != nil {
			return err
		}
		pos = next
	}
	return nil
}

// without returns the fields of a message other than those two.
func without(b []byte, one, other int32) ([]byte, error) {
	var rest []byte
	err := eachField(b, func(num int32, _, all []byte) error {
		if num != one && num != other {
			rest = append(rest, all...)
		}
		return nil
	})
	return rest, err
}
