package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"collector/pkg/listen"
	"collector/pkg/otlp/compression"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

// Body is what has arrived of a request by HTTP.
type Body struct {
	*http.Request
	Signal pipeline.Signal
	Type   string // the media type of the request
	Claim  *listen.Claim
	Limit  int64 // how many bytes it may be, unpacked

	received []byte
	coding   *compression.Coding // nil: it is not compressed
	unpacked []byte
}

// Bytes is the whole body, unpacked. It is valid until Decode returns, or, as the data
// of its payload, until the request is answered.
func (b *Body) Bytes() (data []byte, err error) {
	if b.coding == nil {
		return b.received, nil
	}
	if b.unpacked == nil {
		err = b.Unpack(func(r io.Reader) (err error) {
			b.unpacked, err = b.Claim.ReadAbout(r, b.coding.SizeOf(b.received), b.Limit)
			return err
		})
	}
	return b.unpacked, err
}

// Unpack calls read with the body, unpacked, which ends with wire.ErrTooLarge where it
// is longer than Limit.
func (b *Body) Unpack(read func(io.Reader) error) (err error) {
	var in io.Reader = bytes.NewReader(b.received)
	if c := b.coding; c != nil {
		cost := c.Cost(b.received)
		if err := b.Claim.Grow(cost); err != nil {
			return err
		}
		defer b.Claim.Shrink(cost)
		if in, err = c.Decompress(in); err != nil {
			return err
		}
	}
	return read(wire.LimitReader(in, b.Limit))
}

// free gives back what the body takes, but for data.
func (b *Body) free(data []byte) {
	for _, buf := range [][]byte{b.received, b.unpacked} {
		if len(buf) > 0 && (len(data) == 0 || &buf[0] != &data[0]) {
			b.Claim.Free(buf)
		}
	}
}

// read reads the body of a request. On failure it counts the refusal and returns the
// status to answer with; 0: the one that matches the error.
func (h *HTTP) read(arrival *listen.Arrival, w http.ResponseWriter, r *http.Request, from Sender) (body *Body, code int, err error) {
	name := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	c := h.codings[name]
	if c == nil && name != "identity" && (name != "" || !h.takesPlain) {
		w.Header().Set("Accept-Encoding", h.encodings())
		err = fmt.Errorf("content encoding %s is not supported; supported: %s", strconv.Quote(name), h.encodings())
		return nil, http.StatusBadRequest, h.Intake.Refuse(from, refusedEncoding, pipeline.Permanent(err))
	}
	if err = arrival.Grow(listen.HeaderSize(r.Header)); err != nil {
		code, err = h.unreadable(from, err)
		return nil, code, err
	}
	limit := int64(h.Config.MaxRequestBodySize)
	if r.ContentLength > limit {
		code, err = h.unreadable(from, wire.ErrTooLarge)
		return nil, code, err
	}
	received, err := arrival.ReadAll(arrival.Reader(http.MaxBytesReader(w, r.Body, limit)), r.ContentLength, limit)
	if err != nil {
		code, err = h.unreadable(from, err)
		return nil, code, err
	}
	arrival.Arrived()
	return &Body{Request: r, Claim: arrival.Claim, Limit: limit, received: received, coding: c}, 0, nil
}

// unreadable counts a request whose body could not be read, unpacked or decoded.
func (h *HTTP) unreadable(from Sender, err error) (code int, refused error) {
	var tooLarge *http.MaxBytesError
	reason := refusedTooLarge
	switch {
	case errors.Is(err, listen.ErrNoRoom):
		return 0, h.Intake.Refuse(from, refusedOverload, errOverload)
	case errors.Is(err, listen.ErrTooSlow):
		code, reason, err = http.StatusRequestTimeout, refusedTooSlow, listen.ErrTooSlow
	case errors.Is(err, listen.ErrTooLarge):
		code, err = http.StatusRequestEntityTooLarge, fmt.Errorf("%w: %w; send smaller batches, or give the collector more memory", wire.ErrTooLarge, listen.ErrTooLarge)
	case errors.Is(err, wire.ErrTooManyObjects), errors.Is(err, ErrTooMuchWork):
		code, err = http.StatusRequestEntityTooLarge, fmt.Errorf("%w; send smaller batches", err)
	case errors.As(err, &tooLarge) || errors.Is(err, wire.ErrTooLarge):
		code = http.StatusBadRequest // as OpenTelemetry's own receiver answers
		err = pipeline.Permanent(fmt.Errorf("%w; send smaller batches, or raise %smax_request_body_size above %s", wire.ErrTooLarge, h.Block, h.Config.MaxRequestBodySize))
	default:
		code, reason, err = http.StatusBadRequest, refusedMalformed, pipeline.Permanent(err)
	}
	return code, h.Intake.Refuse(from, reason, err)
}

// encodings lists for a message and a header what a body may be compressed with.
func (h *HTTP) encodings() string {
	var names []string
	for _, name := range h.Config.CompressionAlgorithms {
		if name == "" {
			name = "identity"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}
