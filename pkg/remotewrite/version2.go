package remotewrite

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/deliver"
	"collector/pkg/deliver/httpsend"
	"collector/pkg/protofield"
)

// Blocks of the queue are in version 1, whatever an endpoint wants: all endpoints share
// them. For one that wants version 2, they are converted when they are sent: each text is
// there once, and series refer to it.

// The fields of io.prometheus.write.v2.Request and its TimeSeries.
const (
	fieldSymbols    protowire.Number = 4
	fieldTimeseries protowire.Number = 5

	fieldLabelRefs  protowire.Number = 1 // of TimeSeries, and of Exemplar
	fieldSamples    protowire.Number = 2
	fieldHistograms protowire.Number = 3
	fieldExemplars  protowire.Number = 4
	fieldMetadata   protowire.Number = 5
)

// symbols are the texts of a request.
type symbols struct {
	index map[string]uint32
	all   []string
}

func newSymbols() *symbols {
	return &symbols{index: map[string]uint32{"": 0}, all: []string{""}}
}

// of is the reference to a text.
func (s *symbols) of(text []byte) uint64 {
	if i, ok := s.index[string(text)]; ok {
		return uint64(i)
	}
	i := uint32(len(s.all))
	s.index[string(text)] = i
	s.all = append(s.all, string(text))
	return uint64(i)
}

// version2 is a WriteRequest as a request of version 2. Samples and histograms are the
// same messages in both. Metadata goes with the first series of its family; metadata
// without a series is omitted, as the version has no place for it.
func version2(raw []byte) ([]byte, error) {
	texts := newSymbols()
	metadata, err := metadataOf(raw, texts)
	if err != nil {
		return nil, err
	}
	var series, refs, message []byte
	for len(raw) > 0 {
		e, tail, err := nextEntry(raw)
		if err != nil {
			return nil, err
		}
		raw = tail
		if e.metadata != nil {
			continue
		}
		name := ""
		if refs, name, err = references(refs[:0], e.labels, texts); err != nil {
			return nil, err
		}
		message = appendBytes(message[:0], fieldLabelRefs, refs)
		if message, err = appendRest(message, e.rest, texts); err != nil {
			return nil, err
		}
		if family, m := metadataFor(name, metadata); m != nil {
			message = appendBytes(message, fieldMetadata, m)
			delete(metadata, family)
		}
		series = appendBytes(series, fieldTimeseries, message)
	}
	var out []byte
	for _, text := range texts.all {
		out = protowire.AppendString(protowire.AppendTag(out, fieldSymbols, protowire.BytesType), text)
	}
	return append(out, series...), nil
}

func appendBytes(dst []byte, field protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, field, protowire.BytesType), content)
}

// references appends the references to the labels in a message, and returns the name
// of the metric.
func references(dst, encoded []byte, texts *symbols) (refs []byte, name string, err error) {
	err = protofield.Each(encoded, func(f protofield.Field) error {
		if f.Number != 1 {
			return nil
		}
		var label, value []byte
		err := protofield.Each(f.Content, func(f protofield.Field) error {
			switch f.Number {
			case 1:
				label = f.Content
			case 2:
				value = f.Content
			}
			return nil
		})
		if string(label) == "__name__" {
			name = string(value)
		}
		dst = protowire.AppendVarint(dst, texts.of(label))
		dst = protowire.AppendVarint(dst, texts.of(value))
		return err
	})
	return dst, name, err
}

// appendRest appends the samples, histograms and exemplars of a series.
func appendRest(dst, rest []byte, texts *symbols) ([]byte, error) {
	err := protofield.Each(rest, func(f protofield.Field) error {
		switch byte(f.Number<<3 | 2) {
		case tagSamples:
			dst = appendBytes(dst, fieldSamples, f.Content)
		case tagHistograms:
			dst = appendBytes(dst, fieldHistograms, f.Content)
		case tagExemplars:
			refs, _, err := references(nil, f.Content, texts)
			if err != nil {
				return err
			}
			exemplar := appendBytes(nil, fieldLabelRefs, refs)
			err = protofield.Each(f.Content, func(f protofield.Field) error {
				if f.Number != 1 { // value and timestamp are as they were
					exemplar = append(exemplar, f.Encoded...)
				}
				return nil
			})
			dst = appendBytes(dst, fieldExemplars, exemplar)
			return err
		}
		return nil
	})
	return dst, err
}

// metadataOf is the metadata in a WriteRequest, by its family, as messages of version
// 2.
func metadataOf(raw []byte, texts *symbols) (map[string][]byte, error) {
	all := map[string][]byte{}
	for len(raw) > 0 {
		e, tail, err := nextEntry(raw)
		if err != nil {
			return nil, err
		}
		raw = tail
		if e.metadata == nil {
			continue
		}
		family := ""
		var message []byte
		add := func(number protowire.Number, v uint64) {
			message = protowire.AppendVarint(protowire.AppendTag(message, number, protowire.VarintType), v)
		}
		err = protofield.Each(e.metadata, func(f protofield.Field) error {
			switch f.Number {
			case 1:
				add(1, f.Value)
			case 2:
				family = string(f.Content)
			case 4:
				add(3, texts.of(f.Content))
			case 5:
				add(4, texts.of(f.Content))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		all[family] = message
	}
	return all, nil
}

// metadataFor is the metadata of the family of a series; nil: there is none.
func metadataFor(name string, all map[string][]byte) (family string, m []byte) {
	if len(all) == 0 {
		return "", nil
	}
	for _, suffix := range [...]string{"", "_total", "_bucket", "_sum", "_count", "_info", "_created"} {
		if family, is := strings.CutSuffix(name, suffix); is && all[family] != nil {
			return family, all[family]
		}
	}
	return "", nil
}

// The headers by which a receiver says that it has understood version 2.
const (
	samplesWritten    = "X-Prometheus-Remote-Write-Samples-Written"
	histogramsWritten = "X-Prometheus-Remote-Write-Histograms-Written"
)

// errVersion says that a destination has mistaken a request of version 2 for an empty one
// of version 1.
var errVersion = errors.New("the destination does not say what it has written, so it does not know remote write 2.0: remove protobuf_message")

// exceptVersion2 checks an answer against version 2: a receiver that only knows version 1
// finds nothing in the request, and reports success.
func exceptVersion2(a *httpsend.Answer) *deliver.Error {
	if a.Status/100 == 2 && a.Header.Get(samplesWritten) == "" && a.Header.Get(histogramsWritten) == "" {
		return &deliver.Error{Err: fmt.Errorf("%s answers %d %s: %w", a.URL(), a.Status, http.StatusText(a.Status), errVersion)}
	}
	return nil
}

// body is a WriteRequest as it is sent in that encoding.
func (e *endpoint) body(raw []byte, enc encoding) ([]byte, error) {
	if e.two {
		made, err := version2(raw)
		if err != nil {
			return nil, err
		}
		raw = made
	}
	if len(raw) > math.MaxInt32 {
		return nil, errMalformed
	}
	return e.codec.compress(nil, raw, enc), nil
}
