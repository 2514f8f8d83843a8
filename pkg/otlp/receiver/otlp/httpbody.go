package otlp

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

// httpBody is what there is of a request by HTTP.
type httpBody struct {
	data   []byte // in protobuf; goes back with the claim's Free
	unheld wire.Unheld
}

// read reads the body of a request, unpacks and decodes it. On failure it counts the
// refusal and returns the status to answer with; 0: the one that matches the error.
func (h *httpServer) read(arrival *listen.Arrival, s pipeline.Signal, contentType string, w http.ResponseWriter, r *http.Request) (body httpBody, code int, err error) {
	from := sender{transportHTTP, r.RemoteAddr}
	name := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	c := h.codings[name]
	if c == nil && name != "identity" && (name != "" || !h.takesPlain) {
		w.Header().Set("Accept-Encoding", h.encodings())
		err = fmt.Errorf("content encoding %s is not supported; supported: %s", strconv.Quote(name), h.encodings())
		return body, http.StatusBadRequest, h.intake.refuse(from, refusedEncoding, pipeline.Permanent(err))
	}
	if err = arrival.Grow(listen.HeaderSize(r.Header)); err != nil {
		code, err = h.unreadable(from, err)
		return body, code, err
	}
	limit := int64(h.config.MaxRequestBodySize)
	if r.ContentLength > limit {
		code, err = h.unreadable(from, wire.ErrTooLarge)
		return body, code, err
	}
	received, err := arrival.ReadAll(arrival.Reader(http.MaxBytesReader(w, r.Body, limit)), r.ContentLength, limit)
	if err != nil {
		code, err = h.unreadable(from, err)
		return body, code, err
	}
	arrival.Arrived()
	if c == nil && contentType == wire.TypeProtobuf {
		body.data = received
		return body, 0, nil
	}
	defer arrival.Free(received)
	if body, err = h.decode(arrival.Claim, s, contentType, c, received); err != nil {
		code, err = h.unreadable(from, err)
	}
	return body, code, err
}

// decode unpacks what was received, if c is not nil, and turns JSON into
// protobuf.
func (h *httpServer) decode(claim *listen.Claim, s pipeline.Signal, contentType string, c *compression.Coding, received []byte) (body httpBody, err error) {
	limit := int64(h.config.MaxRequestBodySize)
	var in io.Reader = bytes.NewReader(received)
	if c != nil {
		cost := c.Cost(received)
		if err := claim.Grow(cost); err != nil {
			return body, err
		}
		defer claim.Shrink(cost)
		if in, err = c.Decompress(in); err != nil {
			return body, err
		}
	}
	in = wire.LimitReader(in, limit)
	if contentType == wire.TypeProtobuf {
		body.data, err = claim.ReadAbout(in, c.SizeOf(received), limit)
		return body, err
	}
	d := h.readers.Get().(*wire.JSONReader)
	defer h.readers.Put(d)
	out := wire.NewBuffer(claim, limit)
	lost, err := d.Read(s, in, out)
	if err != nil {
		claim.Free(out.Bytes())
		return body, err
	}
	return httpBody{data: out.Bytes(), unheld: lost}, nil
}

// unreadable counts a request whose body could not be read, unpacked or decoded.
func (h *httpServer) unreadable(from sender, err error) (code int, refused error) {
	var tooLarge *http.MaxBytesError
	reason := refusedTooLarge
	switch {
	case errors.Is(err, listen.ErrNoRoom):
		return 0, h.intake.refuse(from, refusedOverload, errOverload)
	case errors.Is(err, listen.ErrTooSlow):
		code, reason, err = http.StatusRequestTimeout, refusedTooSlow, listen.ErrTooSlow
	case errors.Is(err, listen.ErrTooLarge):
		code, err = http.StatusRequestEntityTooLarge, fmt.Errorf("%w: %w; send smaller batches, or give the collector more memory", wire.ErrTooLarge, listen.ErrTooLarge)
	case errors.Is(err, wire.ErrTooManyObjects):
		code, err = http.StatusRequestEntityTooLarge, fmt.Errorf("%w; send smaller batches", wire.ErrTooManyObjects)
	case errors.As(err, &tooLarge) || errors.Is(err, wire.ErrTooLarge):
		code = http.StatusBadRequest // as OpenTelemetry's own receiver answers
		err = pipeline.Permanent(fmt.Errorf("%w; send smaller batches, or raise http > max_request_body_size above %s", wire.ErrTooLarge, h.config.MaxRequestBodySize))
	default:
		code, reason, err = http.StatusBadRequest, refusedMalformed, pipeline.Permanent(err)
	}
	return code, h.intake.refuse(from, reason, err)
}

// encodings lists for a message and a header what a body may be compressed with.
func (h *httpServer) encodings() string {
	var names []string
	for _, name := range h.config.CompressionAlgorithms {
		if name == "" {
			name = "identity"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}
