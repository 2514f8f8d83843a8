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

// pushRequest is a PushRequest cut into the pieces that matter here. All
// pieces are parts of the request's bytes. Unknown fields are kept.
type pushRequest struct {
	series []pushSeries
	other  []byte // encoded fields that are not series
}

type pushSeries struct {
	labels  []labelPair
	samples [][]byte // encoded RawSample messages
	other   []byte   // encoded fields that are neither labels nor samples
}

type labelPair struct{ name, value string }

// profiles counts the profiles of a request.
func (r *pushRequest) profiles() int {
	n := 0
	for i := range r.series {
		n += len(r.series[i].samples)
	}
	return n
}

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

// parsePush cuts up the encoding of a PushRequest. It looks into labels but
// not into profiles.
func parsePush(body []byte) (*pushRequest, error) {
	request := &pushRequest{}
	err := fields(body, func(number protowire.Number, content, encoded []byte) error {
		if number != fieldSeries || content == nil {
			request.other = append(request.other, encoded...)
			return nil
		}
		series, err := parseSeries(content)
		request.series = append(request.series, series)
		return err
	})
	if err != nil {
		return nil, err
	}
	return request, nil
}

func parseSeries(message []byte) (pushSeries, error) {
	var series pushSeries
	err := fields(message, func(number protowire.Number, content, encoded []byte) error {
		switch {
		case number == fieldLabels && content != nil:
			pair, err := parseLabelPair(content)
			series.labels = append(series.labels, pair)
			return err
		case number == fieldSamples && content != nil:
			series.samples = append(series.samples, content)
			return fields(content, func(protowire.Number, []byte, []byte) error { return nil })
		default:
			series.other = append(series.other, encoded...)
			return nil
		}
	})
	return series, err
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
		err = fmt.Errorf("%w: the label %q=%q is not valid UTF-8", errMalformed, pair.name, pair.value)
	}
	return pair, err
}

// encode writes the request; labels first in each series, then its samples.
func (r *pushRequest) encode() []byte {
	size := len(r.other)
	for i := range r.series {
		size += protowire.SizeBytes(r.series[i].size()) + 1
	}
	b := make([]byte, 0, size)
	for i := range r.series {
		b = protowire.AppendTag(b, fieldSeries, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(r.series[i].size()))
		b = r.series[i].append(b)
	}
	return append(b, r.other...)
}

func (s *pushSeries) size() int {
	size := len(s.other)
	for _, pair := range s.labels {
		size += 1 + protowire.SizeBytes(pair.size())
	}
	for _, sample := range s.samples {
		size += 1 + protowire.SizeBytes(len(sample))
	}
	return size
}

func (s *pushSeries) append(b []byte) []byte {
	for _, pair := range s.labels {
		b = protowire.AppendTag(b, fieldLabels, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(pair.size()))
		b = protowire.AppendTag(b, fieldLabelName, protowire.BytesType)
		b = protowire.AppendString(b, pair.name)
		b = protowire.AppendTag(b, fieldLabelValue, protowire.BytesType)
		b = protowire.AppendString(b, pair.value)
	}
	for _, sample := range s.samples {
		b = protowire.AppendTag(b, fieldSamples, protowire.BytesType)
		b = protowire.AppendBytes(b, sample)
	}
	return append(b, s.other...)
}

func (p labelPair) size() int {
	return 2 + protowire.SizeBytes(len(p.name)) + protowire.SizeBytes(len(p.value))
}

// rewritePush gives each series of an encoded PushRequest its service_name and
// the external labels, and takes away the labels that are reserved. A request
// that needs none of it is returned as it is.
func rewritePush(body []byte, external map[string]string) ([]byte, error) {
	request, err := parsePush(body)
	if err != nil {
		return nil, err
	}
	changed := false
	for i := range request.series {
		series := &request.series[i]
		set, err := rewriteSeries(series.labels, external)
		if err != nil {
			return nil, fmt.Errorf("series %d: %w", i, err)
		}
		if isSet(series.labels, set) {
			continue
		}
		changed = true
		series.labels = series.labels[:0:0]
		for _, name := range slices.Sorted(maps.Keys(set)) {
			series.labels = append(series.labels, labelPair{name, set[name]})
		}
	}
	if !changed {
		return body, nil
	}
	return request.encode(), nil
}

func rewriteSeries(pairs []labelPair, external map[string]string) (labelSet, error) {
	set := make(labelSet, len(pairs)+len(external)+1)
	for _, pair := range pairs {
		set[pair.name] = pair.value
	}
	maps.DeleteFunc(set, func(_, value string) bool { return value == "" })
	set.ensureServiceName()
	if err := set.check(); err != nil {
		return nil, err
	}
	maps.DeleteFunc(set, func(name, _ string) bool {
		return strings.HasPrefix(name, "__") && name != labelName && name != labelDelta
	})
	set.add(external)
	return set, nil
}

// isSet tells whether pairs are exactly the labels of set, each once.
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
	request, err := parsePush(body)
	if err != nil || request.profiles() < 2 {
		return nil, nil, 0
	}
	half := request.profiles() / 2
	left := pushRequest{other: request.other}
	right := pushRequest{other: request.other}
	room := half
	for _, series := range request.series {
		n := min(room, len(series.samples))
		if n > 0 {
			part := series
			part.samples = series.samples[:n]
			left.series = append(left.series, part)
			room -= n
		}
		if n < len(series.samples) {
			part := series
			part.samples = series.samples[n:]
			right.series = append(right.series, part)
		}
	}
	return left.encode(), right.encode(), half
}
