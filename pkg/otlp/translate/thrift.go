package translate

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/apache/thrift/lib/go/thrift"

	"collector/pkg/listen"
)

const (
	// structSize is about what a decoder and a translator make of each struct of
	// thrift, beside its texts.
	structSize = 384
	// pointerSize is what a list takes for each element, before any of them is read.
	pointerSize = 8
	// claimStep is how much is claimed at a time.
	claimStep = 64 << 10
)

// Thrift reads what others have encoded, and claims what is made of it. A list of which
// less can follow than it says is an error, since decoders make it at once. Bytes of
// texts that are not UTF-8 are replaced, as OTLP does not have them.
type Thrift struct {
	thrift.TProtocol
	rest   *bytes.Buffer
	claim  *listen.Claim
	unpaid int   // of what was made, what is not claimed yet
	failed error // of the claim
}

// Binary reads data in thrift's binary protocol.
func Binary(data []byte, claim *listen.Claim) *Thrift {
	buffer := bytes.NewBuffer(data)
	return &Thrift{thrift.NewTBinaryProtocolConf(&thrift.TMemoryBuffer{Buffer: buffer}, nil), buffer, claim, 0, nil}
}

// Compact reads data in thrift's compact protocol.
func Compact(data []byte, claim *listen.Claim) *Thrift {
	buffer := bytes.NewBuffer(data)
	return &Thrift{thrift.NewTCompactProtocolConf(&thrift.TMemoryBuffer{Buffer: buffer}, nil), buffer, claim, 0, nil}
}

// make claims n bytes, or will with the next ones.
func (t *Thrift) make(n int) error {
	if t.unpaid += n; t.unpaid < claimStep {
		return nil
	}
	n, t.unpaid = t.unpaid, 0
	t.failed = t.claim.Grow(n)
	return t.failed
}

// Explain is the error of the claim, if decoders failed with err because of that: they
// keep only its text.
func (t *Thrift) Explain(err error) error {
	if err == nil || t.failed == nil {
		return err
	}
	return t.failed
}

// size checks how many elements a list or map says that it has.
func (t *Thrift) size(n int, err error) error {
	switch {
	case err != nil:
		return err
	case n > t.rest.Len(): // each takes a byte
		return fmt.Errorf("a list is said to have %d elements, and %d bytes follow", n, t.rest.Len())
	}
	return t.make(n * pointerSize)
}

// ReadStructBegin implements thrift.TProtocol.
func (t *Thrift) ReadStructBegin(ctx context.Context) (name string, err error) {
	if err := t.make(structSize); err != nil {
		return "", err
	}
	return t.TProtocol.ReadStructBegin(ctx)
}

// ReadListBegin implements thrift.TProtocol.
func (t *Thrift) ReadListBegin(ctx context.Context) (element thrift.TType, size int, err error) {
	element, size, err = t.TProtocol.ReadListBegin(ctx)
	return element, size, t.size(size, err)
}

// ReadSetBegin implements thrift.TProtocol.
func (t *Thrift) ReadSetBegin(ctx context.Context) (element thrift.TType, size int, err error) {
	element, size, err = t.TProtocol.ReadSetBegin(ctx)
	return element, size, t.size(size, err)
}

// ReadMapBegin implements thrift.TProtocol.
func (t *Thrift) ReadMapBegin(ctx context.Context) (key, value thrift.TType, size int, err error) {
	key, value, size, err = t.TProtocol.ReadMapBegin(ctx)
	return key, value, size, t.size(size, err)
}

// ReadString implements thrift.TProtocol.
func (t *Thrift) ReadString(ctx context.Context) (string, error) {
	text, err := t.TProtocol.ReadString(ctx)
	if err != nil {
		return "", err
	}
	return strings.ToValidUTF8(text, "\uFFFD"), t.make(len(text))
}

// Skip implements thrift.TProtocol: what is skipped is read by t, too.
func (t *Thrift) Skip(ctx context.Context, kind thrift.TType) error {
	return thrift.SkipDefaultDepth(ctx, t, kind)
}
