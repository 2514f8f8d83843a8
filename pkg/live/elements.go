package live

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxDepth bounds the nesting of messages that are decoded to be shown. Real
// ones have some ten levels.
const maxDepth = 32

var (
	errElements = errors.New("it has too many parts to be shown")
	errNesting  = errors.New("it is nested too deeply to be shown")
)

// CheckSize is an error if a message in Protobuf has more parts than max, so that
// decoding it would take many times its own size: an empty part is two bytes long,
// and becomes hundreds. It allocates nothing. It knows no schema: whatever reads
// as a message counts as one, so that it may count too many, but never too few.
func CheckSize(data []byte, max int) error {
	_, err := elements(data, max, 0)
	return err
}

// elements counts the parts of a message, or says why data is none.
func elements(data []byte, left, depth int) (count int, err error) {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 || number < 1 {
			return 0, protowire.ParseError(n)
		}
		data = data[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
				return 0, protowire.ParseError(n)
			}
			data = data[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(data)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		data = data[n:]
		within, err := nested(value, left-count, depth+1)
		if err != nil {
			return 0, err
		}
		if count += within; count > left {
			return 0, errElements
		}
	}
	return count, nil
}

// nested counts value and its parts if it reads as a message, else nothing.
func nested(value []byte, left, depth int) (count int, err error) {
	if depth > maxDepth && len(value) > 0 {
		return 0, errNesting
	}
	within, err := elements(value, left, depth)
	switch {
	case errors.Is(err, errElements) || errors.Is(err, errNesting):
		return 0, err
	case err != nil:
		return 0, nil // a text
	}
	return 1 + within, nil
}
