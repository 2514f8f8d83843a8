package zipkin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jaegertracing/jaeger-idl/thrift-gen/zipkincore"
	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/jsonscan"
	"collector/pkg/listen"
	"collector/pkg/otlp/translate"
)

// What decoders and translators make of the parts of a request, in bytes.
const (
	spanSize     = 896
	tagSize      = 256 // in three maps, one after the other
	endpointSize = 384
	eventSize    = 256
	valueSize    = 128 // of any other value of JSON
	// textGrowth is how many copies of a text there are: that of the decoder, of which
	// each byte may become three, and that which is queued.
	textGrowth = 4
)

// listOfSpans describes a request in protobuf.
func listOfSpans() *translate.Message {
	text := &translate.Message{Nested: true}
	endpoint := &translate.Message{Size: endpointSize}
	return &translate.Message{Fields: map[protowire.Number]*translate.Message{
		1: {Size: spanSize, Fields: map[protowire.Number]*translate.Message{ // spans
			8:  endpoint,                                                                             // local_endpoint
			9:  endpoint,                                                                             // remote_endpoint
			10: {Size: eventSize, Fields: map[protowire.Number]*translate.Message{2: text}},          // annotations, value
			11: {Size: tagSize, Tag: true, Fields: map[protowire.Number]*translate.Message{2: text}}, // tags, value
		}},
	}}
}

// scale weighs a request in JSON.
type scale struct {
	in     jsonscan.Scanner
	weight translate.Weight
	tags   int // of the span
}

// weighJSON weighs a list of spans of either version, and checks how deep it is nested.
func weighJSON(data []byte) (translate.Weight, error) {
	s := scale{weight: translate.Weight{Memory: textGrowth * len(data)}}
	s.in.Reset(bytes.NewReader(data))
	var err error
	if s.in.Next() == 'n' { // as good as none
		err = s.in.Literal("null")
	} else {
		err = s.in.List('[', ']', s.span)
	}
	if err == nil {
		var more bool
		if more, err = s.in.More(); more && err == nil {
			err = errors.New("something follows the list of spans")
		}
	}
	if err != nil {
		return s.weight, fmt.Errorf("decode JSON: %w", err)
	}
	return s.weight, nil
}

func (s *scale) span() error {
	s.weight.Memory += spanSize
	if s.in.Next() != '{' { // null, which the decoder skips, or what it refuses
		return s.in.Skip(1)
	}
	s.tags = 0
	err := s.in.List('{', '}', func() error {
		name, err := s.in.Name()
		if err != nil {
			return err
		}
		switch key := string(name); { // as the decoder compares them
		case strings.EqualFold(key, "tags"), strings.EqualFold(key, "binaryAnnotations"):
			return s.value(1, func() { s.tags++; s.weight.Memory += tagSize })
		case strings.EqualFold(key, "annotations"):
			return s.value(1, func() { s.weight.Memory += eventSize })
		case strings.EqualFold(key, "localEndpoint"), strings.EqualFold(key, "remoteEndpoint"):
			s.weight.Memory += endpointSize
			return s.value(1, nil)
		default:
			return s.in.Skip(2)
		}
	})
	s.weight.AddTags(s.tags)
	return err
}

// value reads a value, and all in it. It calls each for its members or elements.
func (s *scale) value(depth int, each func()) error {
	if depth > jsonscan.MaxDepth {
		return jsonscan.ErrDepth
	}
	s.weight.Memory += valueSize
	element := func() error {
		if each != nil {
			each()
		}
		return s.value(depth+1, nil)
	}
	switch s.in.Next() {
	case '{':
		return s.in.List('{', '}', func() error {
			if err := s.in.SkipName(); err != nil {
				return err
			}
			return element()
		})
	case '[':
		return s.in.List('[', ']', element)
	case '"':
		var bars, commas, size int
		err := s.in.EachPiece(func(piece []byte) error {
			bars += bytes.Count(piece, []byte("|"))
			commas += bytes.Count(piece, []byte(","))
			size += len(piece)
			return nil
		})
		s.weight.NestedJSON(bars, commas, size)
		return err
	default:
		return s.in.Skip(depth)
	}
}

// weighThrift weighs a list of spans in thrift's binary protocol, of which it claims
// what is made of it.
func weighThrift(data []byte, claim *listen.Claim) (translate.Weight, error) {
	w := translate.Weight{Memory: textGrowth * len(data)}
	in := translate.Binary(data, claim)
	_, n, err := in.ReadListBegin(context.Background())
	for range n {
		if err != nil {
			break
		}
		var span zipkincore.Span
		err = span.Read(context.Background(), in)
		w.AddTags(len(span.BinaryAnnotations))
	}
	if err != nil {
		return w, fmt.Errorf("decode Thrift: %w", in.Explain(err))
	}
	return w, nil
}
