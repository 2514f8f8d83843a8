package profiles

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of push.v1.PushRequest, RawProfileSeries and
// types.v1.LabelPair.
const (
	fieldSeries     protowire.Number = 1 // of PushRequest
	fieldLabels     protowire.Number = 1 // of RawProfileSeries
	fieldSamples    protowire.Number = 2 // of RawProfileSeries
	fieldLabelName  protowire.Number = 1 // of LabelPair
	fieldLabelValue protowire.Number = 2 // of LabelPair
)

var errMalformed = errors.New("the bytes are not a push.v1.PushRequest")

// Pyroscope accepts 30 labels by default; a request has seldom more than a few hundred
// series.
const (
	maxLabels   = 1000 // of a series
	maxSeries   = 100_000
	maxProfiles = 100_000
)

// pushSeries is what matters here of a RawProfileSeries. There is no slice of
// its samples: a request holds millions of empty ones in a few bytes each.
type pushSeries struct {
	labels  []labelPair
	labeled int // length of the encoded labels
	samples int
	content []byte // its whole encoding
}

type labelPair struct{ name, value string }

// fields calls do for each field of a message: with its content for a
// length-delimited one, and always with its whole encoding.
func fields(message []byte, do func(number protowire.Number, content, encoded []byte) error) error {
	for len(message) > 0 {
		number, wireType, tagLen := protowire.ConsumeTag(message)
		if tagLen < 0 {
			return errMalformed
		}
		valueLen := protowire.ConsumeFieldValue(number, wireType, message[tagLen:])
		if valueLen < 0 {
			return errMalformed
		}
		var content []byte
		if wireType == protowire.BytesType {
			content, _ = protowire.ConsumeBytes(message[tagLen:])
			if content == nil {
				content = []byte{}
			}
		}
		if err := do(number, content, message[:tagLen+valueLen]); err != nil {
			return err
		}
		message = message[tagLen+valueLen:]
	}
	return nil
}

// eachSeries calls do with the parts of an encoded PushRequest, in order: for a
// series, its number, its content and its whole encoding; for any other field,
// only the encoding.
func eachSeries(body []byte, do func(i int, content, encoded []byte) error) error {
	n := 0
	return fields(body, func(number protowire.Number, content, encoded []byte) error {
		if number != fieldSeries || content == nil {
			return do(n, nil, encoded)
		}
		if n++; n > maxSeries {
			return fmt.Errorf("the request has more than %d series: send smaller ones", maxSeries)
		}
		return do(n-1, content, encoded)
	})
}

// parseSeries looks into labels but not into profiles.
func parseSeries(message []byte) (pushSeries, error) {
	series := pushSeries{content: message}
	err := fields(message, func(number protowire.Number, content, encoded []byte) error {
		switch {
		case content == nil:
		case number == fieldLabels:
			if len(series.labels) == maxLabels {
				return fmt.Errorf("it has more than %d labels", maxLabels)
			}
			pair, err := parseLabelPair(content)
			series.labels = append(series.labels, pair)
			series.labeled += len(encoded)
			return err
		case number == fieldSamples:
			series.samples++
			return fields(content, func(protowire.Number, []byte, []byte) error { return nil })
		}
		return nil
	})
	return series, err
}

// checkPush reports what is wrong with an encoded PushRequest, and counts its
// profiles.
func checkPush(body []byte) (profiles int, err error) {
	err = eachSeries(body, func(i int, content, _ []byte) error {
		if content == nil {
			return nil
		}
		series, err := parseSeries(content)
		if err == nil {
			_, err = delivered(false, nil)(setOf(series.labels))
		}
		if profiles += series.samples; profiles > maxProfiles {
			return fmt.Errorf("the request has more than %d profiles: send smaller ones", maxProfiles)
		}
		return inSeries(i, err)
	})
	return profiles, err
}

// countPush counts the profiles of an encoded PushRequest.
func countPush(body []byte) (profiles int, err error) {
	err = eachSeries(body, func(i int, content, _ []byte) error {
		if content == nil {
			return nil
		}
		series, err := parseSeries(content)
		profiles += series.samples
		return inSeries(i, err)
	})
	return profiles, err
}

func inSeries(i int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("series %d: %w", i, err)
}

func parseLabelPair(message []byte) (labelPair, error) {
	var pair labelPair
	err := fields(message, func(number protowire.Number, content, _ []byte) error {
		switch {
		case content == nil:
		case number == fieldLabelName:
			pair.name = string(content)
		case number == fieldLabelValue:
			pair.value = string(content)
		}
		return nil
	})
	if err == nil && !(utf8.ValidString(pair.name) && utf8.ValidString(pair.value)) {
		err = fmt.Errorf("%w: the label %.40q=%.40q is not valid UTF-8", errMalformed, pair.name, pair.value)
	}
	return pair, err
}

// size is the length of the series with these labels in place of its own.
func (s *pushSeries) size(labels []labelPair) int {
	size := len(s.content) - s.labeled
	for _, pair := range labels {
		size += 1 + protowire.SizeBytes(pair.size())
	}
	return size
}

// append appends the series to a PushRequest, with these labels in place of its
// own, before everything else.
func (s *pushSeries) append(b []byte, labels []labelPair) []byte {
	b = protowire.AppendTag(b, fieldSeries, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(s.size(labels)))
	for _, pair := range labels {
		b = protowire.AppendTag(b, fieldLabels, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(pair.size()))
		b = protowire.AppendTag(b, fieldLabelName, protowire.BytesType)
		b = protowire.AppendString(b, pair.name)
		b = protowire.AppendTag(b, fieldLabelValue, protowire.BytesType)
		b = protowire.AppendString(b, pair.value)
	}
	// The series has been read before, so that there is no error.
	_ = fields(s.content, func(number protowire.Number, content, encoded []byte) error {
		if number != fieldLabels || content == nil {
			b = append(b, encoded...)
		}
		return nil
	})
	return b
}

func (p labelPair) size() int {
	return 2 + protowire.SizeBytes(len(p.name)) + protowire.SizeBytes(len(p.value))
}

// changePush makes the labels of each series of an encoded PushRequest into others,
// and omits the series whose set becomes nil. A request that stays as it is is
// returned as it is.
func changePush(body []byte, to change) ([]byte, error) {
	changed, size := false, 0
	err := eachSeries(body, func(i int, content, encoded []byte) error {
		size += len(encoded)
		if content == nil {
			return nil
		}
		series, labels, same, err := changeSeries(content, to)
		switch {
		case err != nil || same:
		case labels == nil:
			changed = true
			size -= len(encoded)
		default:
			changed = true
			size += protowire.SizeBytes(series.size(labels)) + 1 - len(encoded)
		}
		return inSeries(i, err)
	})
	if err != nil || !changed {
		return body, err
	}
	b := make([]byte, 0, size)
	var other []byte
	err = eachSeries(body, func(_ int, content, encoded []byte) error {
		if content == nil {
			other = append(other, encoded...)
			return nil
		}
		series, labels, same, err := changeSeries(content, to)
		switch {
		case same:
			b = append(b, encoded...)
		case labels != nil:
			b = series.append(b, labels)
		}
		return err
	})
	return append(b, other...), err
}

// changeSeries returns a series and the labels that it gets; nil: it is omitted, or,
// with same, it keeps those that it has.
func changeSeries(content []byte, to change) (series pushSeries, labels []labelPair, same bool, err error) {
	if series, err = parseSeries(content); err != nil {
		return series, nil, false, err
	}
	set, err := to(setOf(series.labels))
	if err != nil || set == nil || isSet(series.labels, set) {
		return series, nil, err == nil && set != nil, err
	}
	labels = make([]labelPair, 0, len(set))
	for _, name := range slices.Sorted(maps.Keys(set)) {
		labels = append(labels, labelPair{name, set[name]})
	}
	return series, labels, false, nil
}

// setOf is the set of some pairs. Of equal names, the last counts; an empty value
// is no label.
func setOf(pairs []labelPair) labelSet {
	set := make(labelSet, len(pairs)+1)
	for _, pair := range pairs {
		set[pair.name] = pair.value
	}
	maps.DeleteFunc(set, func(_, value string) bool { return value == "" })
	return set
}

// delivered is the change to the labels of a series of a push request that is
// delivered: unless they are named already, they get a service_name; they get the
// external labels, and lose those that are reserved.
func delivered(named bool, external map[string]string) change {
	return func(set labelSet) (labelSet, error) {
		if !named {
			set.ensureServiceName()
		}
		if err := set.check(); err != nil {
			return nil, err
		}
		maps.DeleteFunc(set, func(name, _ string) bool {
			return strings.HasPrefix(name, "__") && name != labelName && name != labelDelta
		})
		set.add(external)
		return set, nil
	}
}

// isSet reports whether pairs are exactly the labels of set, each once.
func isSet(pairs []labelPair, set labelSet) bool {
	if len(pairs) != len(set) {
		return false
	}
	seen := make(map[string]struct{}, len(pairs))
	for _, pair := range pairs {
		if value, ok := set[pair.name]; !ok || value != pair.value {
			return false
		}
		seen[pair.name] = struct{}{}
	}
	return len(seen) == len(set)
}

// splitPush cuts an encoded PushRequest into two that hold its profiles
// between them, in order. It returns nil when there is nothing to cut.
func splitPush(body []byte) (first, second []byte, profiles int) {
	total := 0
	err := eachSeries(body, func(_ int, content, _ []byte) error {
		series, err := parseSeries(content)
		total += series.samples
		return err
	})
	if err != nil || total < 2 {
		return nil, nil, 0
	}
	half := total / 2
	room := half
	_ = eachSeries(body, func(_ int, content, encoded []byte) error {
		series, err := parseSeries(content)
		switch {
		case content == nil:
			first, second = append(first, encoded...), append(second, encoded...)
		case series.samples == 0:
		case series.samples <= room:
			first = append(first, encoded...)
		case room == 0:
			second = append(second, encoded...)
		default:
			first = appendPart(first, content, 0, room)
			second = appendPart(second, content, room, series.samples)
		}
		room -= min(room, series.samples)
		return err
	})
	return first, second, half
}

// appendPart appends a series of a PushRequest that has only some of its samples.
func appendPart(b, content []byte, from, to int) []byte {
	part, n := make([]byte, 0, len(content)), 0
	_ = fields(content, func(number protowire.Number, sample, encoded []byte) error {
		keep := true
		if number == fieldSamples && sample != nil {
			keep = from <= n && n < to
			n++
		}
		if keep {
			part = append(part, encoded...)
		}
		return nil
	})
	b = protowire.AppendTag(b, fieldSeries, protowire.BytesType)
	return protowire.AppendBytes(b, part)
}
