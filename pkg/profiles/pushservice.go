package profiles

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"collector/pkg/listen"
	"collector/pkg/pipeline"
)

// unpackedShare is the part of a body's limit that a compressed body may unpack
// to: profiles are compressed in themselves, and connect's buffer takes several
// times what is in it while it grows.
const unpackedShare = 4

const pushProcedure = pushv1connect.PusherServicePushProcedure

// pushed is a PushRequest as bytes: as received when the client sent protobuf.
type pushed struct {
	data     []byte
	profiles int
}

// pushHandler serves push.v1.PusherService/Push by the Connect, gRPC and
// gRPC-Web protocols, in protobuf and JSON.
func (r *Receive) pushHandler() http.Handler {
	refused := r.metrics.dropped.WithLabelValues("bad_request")
	tooLarge := r.metrics.dropped.WithLabelValues("too_large")
	unpacked := listen.NewBudget(listen.WithinMemory(maxBodies / 2))
	options := []connect.HandlerOption{
		connect.WithCodec(protoCodec{refused}),
		connect.WithCodec(jsonCodec{"json", refused}),
		connect.WithCodec(jsonCodec{"json; charset=utf-8", refused}),
		connect.WithReadMaxBytes(int(r.maxBody)),
		connect.WithCompression("gzip",
			func() connect.Decompressor {
				return &limitedGzip{
					limit: r.maxBody / unpackedShare, claim: unpacked.Claim("", nil), refused: tooLarge,
					overloaded: r.metrics.dropped.WithLabelValues("overloaded"),
				}
			},
			func() connect.Compressor { return gzip.NewWriter(io.Discard) }),
	}
	push := connect.NewUnaryHandler(pushProcedure, r.push, options...)
	errorWriter := connect.NewErrorWriter(options...)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		unary := isConnectUnary(req)
		if req.ContentLength > r.maxBody {
			tooLarge.Inc()
			if unary || !errorWriter.IsSupported(req) {
				writeTooLarge(w, r.maxBody)
			} else if err := errorWriter.Write(w, req, errTooLarge(r.maxBody)); err != nil {
				r.options.Logger.Debug("answer a push that is too large", "err", err)
			}
			return
		}
		// The few bytes over the limit are the envelope of gRPC.
		body := &meter{ReadCloser: http.MaxBytesReader(w, req.Body, r.maxBody+1024), claim: r.bodies.Claim(listen.ClientOf(req.RemoteAddr), nil), full: errUnavailable(errOverloaded.Error())}
		defer body.claim.Release()
		req.Body = body
		if unary {
			w = &statusWriter{ResponseWriter: w}
		}
		push.ServeHTTP(w, req)
		r.countBody(body.failed)
	})
}

// countBody counts a request whose body could not be read to its end.
func (r *Receive) countBody(err error) {
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
	case errors.As(err, &tooLarge):
		r.metrics.dropped.WithLabelValues("too_large").Inc()
	case connect.CodeOf(err) == connect.CodeUnavailable:
		r.metrics.dropped.WithLabelValues("overloaded").Inc()
	default:
		r.metrics.dropped.WithLabelValues("body_unreadable").Inc()
	}
}

// isConnectUnary tells whether a request is of the Connect protocol, whose
// answers have an HTTP status of their own.
func isConnectUnary(r *http.Request) bool {
	contentType := r.Header.Get("Content-Type")
	return strings.HasPrefix(contentType, "application/proto") || strings.HasPrefix(contentType, "application/json")
}

// statusWriter answers 413 where Connect would say 429, which a client would
// take for a reason to send the same again. Nothing here answers 429 otherwise.
type statusWriter struct{ http.ResponseWriter }

func (w *statusWriter) WriteHeader(status int) {
	if status == http.StatusTooManyRequests {
		status = http.StatusRequestEntityTooLarge
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func writeTooLarge(w http.ResponseWriter, limit int64) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusRequestEntityTooLarge)
	json.NewEncoder(w).Encode(map[string]string{
		"code":    connect.CodeResourceExhausted.String(),
		"message": tooLargeMessage(limit),
	})
}

func errTooLarge(limit int64) *connect.Error {
	return connect.NewError(connect.CodeResourceExhausted, errors.New(tooLargeMessage(limit)))
}

func errUnavailable(message string) *connect.Error {
	err := connect.NewError(connect.CodeUnavailable, errors.New(message))
	err.Meta().Set("Retry-After", retryAfter)
	return err
}

func (r *Receive) push(ctx context.Context, req *connect.Request[pushed]) (*connect.Response[pushv1.PushResponse], error) {
	if req.Msg.profiles > 0 {
		err := r.forward(ctx, pipeline.Profile{
			Route: pipeline.ProfilePush,
			Body:  req.Msg.data,
			Items: req.Msg.profiles,
		})
		if pipeline.IsPermanent(err) {
			return nil, connect.NewError(connect.CodeInvalidArgument, err)
		} else if err != nil {
			return nil, errUnavailable(unavailable(err))
		}
	}
	return connect.NewResponse(&pushv1.PushResponse{}), nil
}

// set takes the encoding of a PushRequest, which it checks.
func (p *pushed) set(data []byte) error {
	request, err := parsePush(data)
	if err != nil {
		return err
	}
	for i := range request.series {
		if _, err := rewriteSeries(request.series[i].labels, nil); err != nil {
			return fmt.Errorf("series %d: %w", i, err)
		}
	}
	p.data, p.profiles = data, request.profiles()
	return nil
}

// protoCodec is connect's protobuf codec, except that it leaves a pushed as it
// came.
type protoCodec struct{ refused prometheus.Counter }

func (protoCodec) Name() string { return "proto" }

func (protoCodec) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a protobuf message", message)
	}
	return proto.Marshal(m)
}

func (c protoCodec) Unmarshal(data []byte, message any) error {
	switch m := message.(type) {
	case *pushed:
		err := m.set(bytes.Clone(data))
		if err != nil {
			c.refused.Inc()
		}
		return err
	case proto.Message:
		return proto.Unmarshal(data, m)
	}
	return fmt.Errorf("%T is not a protobuf message", message)
}

// jsonCodec turns JSON into a pushed.
type jsonCodec struct {
	name    string
	refused prometheus.Counter
}

func (c jsonCodec) Name() string { return c.name }

func (jsonCodec) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a protobuf message", message)
	}
	return protojson.Marshal(m)
}

func (c jsonCodec) Unmarshal(data []byte, message any) error {
	m, ok := message.(*pushed)
	if !ok {
		return fmt.Errorf("%T is not a push request", message)
	}
	err := m.setJSON(data)
	if err != nil {
		c.refused.Inc()
	}
	return err
}

func (p *pushed) setJSON(data []byte) error {
	request := &pushv1.PushRequest{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, request); err != nil {
		return err
	}
	encoded, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	return p.set(encoded)
}

// limitedGzip is a gzip reader that ends a bomb at the limit. Without it, the
// rest would be decompressed only to tell the client how much there was.
type limitedGzip struct {
	reader gzip.Reader
	limit  int64 // see unpackedShare
	left   int64
	claim  *listen.Claim // of what requests under way may take unpacked

	refused, overloaded prometheus.Counter
}

func (g *limitedGzip) Reset(r io.Reader) error {
	g.claim.Release()
	g.left = g.limit
	return g.reader.Reset(r)
}

func (g *limitedGzip) Read(p []byte) (int, error) {
	n, err := g.reader.Read(p)
	if g.left -= int64(n); g.left < 0 {
		g.refused.Inc()
		return 0, errTooLarge(g.limit)
	}
	if g.claim.Grow(n) != nil {
		g.overloaded.Inc()
		return 0, errUnavailable(errOverloaded.Error())
	}
	return n, err
}

func (g *limitedGzip) Close() error {
	g.claim.Release()
	return nil
}
