package profiles

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/klauspost/compress/gzip"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"collector/pkg/httpserver"
	"collector/pkg/listen"
)

const (
	// unpackedShare is the part of a body's limit that a compressed body may
	// unpack to: profiles are compressed in themselves.
	unpackedShare = 4
	// gzipCost is what a decoder takes, about.
	gzipCost = 64 << 10
	// jsonCost is what an object, an array or a value in JSON is made into, at
	// most, besides its text.
	jsonCost = 192
	// envelope is the length of what gRPC puts before a message: whether it is
	// compressed, and its length.
	envelope = 5
)

// errBomb says that a body unpacks to more than its receiver accepts.
var errBomb = errors.New("the decompressed body is too large")

// pushed is a PushRequest as bytes: as received when the client sent protobuf.
type pushed struct {
	arrival  *listen.Arrival
	grpc     bool
	data     []byte
	profiles int
}

// empty is a message without contents.
func (p *pushed) empty() []byte {
	if p.grpc {
		return make([]byte, envelope)
	}
	return nil
}

// read reads, unpacks and checks the message of a request, and claims what that
// makes. Errors of the message are connect's.
func (p *pushed) read(w http.ResponseWriter, req *http.Request, limit int64) error {
	p.grpc = isGRPC(req)
	body := p.arrival.Reader(http.MaxBytesReader(w, req.Body, limit+envelope))
	size, encoding, packed := req.ContentLength, "Content-Encoding", true
	if p.grpc {
		var head [envelope]byte
		if _, err := io.ReadFull(body, head[:]); err != nil {
			return cut(err)
		}
		size, encoding, packed = int64(binary.BigEndian.Uint32(head[1:])), "Grpc-Encoding", head[0]&1 != 0
	}
	if size > limit {
		return &http.MaxBytesError{Limit: limit}
	}
	data, err := p.arrival.ReadAll(body, size, limit)
	if err != nil {
		return err
	}
	if p.arrival.Arrived(); p.grpc && int64(len(data)) < size {
		return cut(io.ErrUnexpectedEOF)
	}
	if int64(len(data)) > limit {
		return &http.MaxBytesError{Limit: limit}
	}
	switch name := req.Header.Get(encoding); {
	case !packed || name == "" || name == "identity" || len(data) == 0:
	case name == "gzip":
		if data, err = unpack(p.arrival.Claim, data, limit/unpackedShare); err != nil {
			return err
		}
	default:
		return connect.NewError(connect.CodeUnimplemented, fmt.Errorf("unknown compression %.40q: supported encodings are gzip", name))
	}
	if strings.Contains(req.Header.Get("Content-Type"), "json") {
		data, err = p.fromJSON(data)
	}
	if err == nil {
		p.data = data
		p.profiles, err = checkPush(data)
	}
	return invalid(err)
}

// cut is the error of a message that ends too early.
func cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return connect.NewError(connect.CodeInvalidArgument, errors.New("the request ends before its message does"))
	}
	return err
}

// invalid is the error of a message that is wrong. What the JSON library says can
// quote all of it.
func invalid(err error) error {
	if err == nil || errors.Is(err, listen.ErrNoRoom) || errors.Is(err, listen.ErrTooLarge) {
		return err
	}
	return connect.NewError(connect.CodeInvalidArgument, errors.New(httpserver.Brief("unmarshal message: "+err.Error())))
}

// unpack decompresses data, in whose place the result comes; on failure data
// stays.
func unpack(claim *listen.Claim, data []byte, limit int64) ([]byte, error) {
	if err := claim.Grow(gzipCost); err != nil {
		return data, err
	}
	defer claim.Shrink(gzipCost)
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return data, fmt.Errorf("%w: %w", errGzip, err)
	}
	unpacked, err := claim.ReadAbout(io.LimitReader(r, limit+1), listen.GzipSize(data), limit)
	switch {
	case errors.Is(err, listen.ErrNoRoom), errors.Is(err, listen.ErrTooLarge):
		return data, err
	case err != nil:
		return data, fmt.Errorf("%w: %w", errGzip, err)
	case int64(len(unpacked)) > limit:
		claim.Free(unpacked)
		return data, errBomb
	}
	claim.Free(data)
	return unpacked, nil
}

// fromJSON turns JSON into protobuf.
func (p *pushed) fromJSON(data []byte) ([]byte, error) {
	values := bytes.Count(data, []byte{','}) + bytes.Count(data, []byte{'{'}) + bytes.Count(data, []byte{'['})
	if err := p.arrival.Grow(2*len(data) + jsonCost*values); err != nil {
		return nil, err
	}
	request := &pushv1.PushRequest{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, request); err != nil {
		return nil, err
	}
	return proto.Marshal(request)
}
