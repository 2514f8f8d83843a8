package profiles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"collector/pkg/httpserver"
	"collector/pkg/pipeline"
)

const pushProcedure = pushv1connect.PusherServicePushProcedure

// pushHandler serves push.v1.PusherService/Push by the Connect, gRPC and gRPC-Web
// protocols, in protobuf and JSON. The library answers, but the message is read first, as
// the library would read and unpack all of it before the budget could refuse.
func (r *Receive) pushHandler() http.Handler {
	options := []connect.HandlerOption{
		connect.WithCodec(pushCodec{"proto", proto.Marshal}),
		connect.WithCodec(pushCodec{"json", protojson.Marshal}),
		connect.WithCodec(pushCodec{"json; charset=utf-8", protojson.Marshal}),
	}
	push := connect.NewUnaryHandler(pushProcedure, r.push, options...)
	errorWriter := connect.NewErrorWriter(options...)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if isConnectUnary(req) {
			w = &statusWriter{ResponseWriter: w}
		} else if !isGRPC(req) {
			push.ServeHTTP(w, req) // which refuses it
			return
		}
		arrival, err := r.arrive(w, req)
		defer arrival.Release()
		message := &pushed{arrival: arrival}
		if err == nil {
			err = message.read(w, req, r.maxBody)
		}
		if err == nil {
			empty := message.empty()
			req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(empty)), int64(len(empty))
			push.ServeHTTP(w, req.WithContext(context.WithValue(req.Context(), pushedKey{}, message)))
			return
		}
		if err := errorWriter.Write(w, req, r.refusePush(req, err)); err != nil {
			r.options.Logger.Debug("push rejected", "err", err)
		}
	})
}

// refusePush counts a push that cannot be read, and returns the error for its client.
func (r *Receive) refusePush(req *http.Request, err error) *connect.Error {
	var failed *connect.Error
	if errors.As(err, &failed) {
		failed = connect.NewError(failed.Code(), errors.New(httpserver.Brief(failed.Message())))
		r.refused(req, "bad_request", failed.Message())
		return failed
	}
	status, reason, message := r.refusal(err)
	message = httpserver.Brief(message)
	r.refused(req, reason, message)
	switch status {
	case http.StatusBadRequest:
		return connect.NewError(connect.CodeInvalidArgument, errors.New(message))
	case http.StatusRequestEntityTooLarge:
		return connect.NewError(connect.CodeResourceExhausted, errors.New(message))
	case http.StatusServiceUnavailable:
		return errUnavailable(message)
	default:
		return connect.NewError(connect.CodeDeadlineExceeded, errors.New(message))
	}
}

// isConnectUnary reports whether a request is of the Connect protocol, whose
// answers have an HTTP status of their own.
func isConnectUnary(r *http.Request) bool {
	contentType := r.Header.Get("Content-Type")
	return strings.HasPrefix(contentType, "application/proto") || strings.HasPrefix(contentType, "application/json")
}

// isGRPC reports whether a request is of gRPC or gRPC-Web, which put their messages
// into envelopes.
func isGRPC(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
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

func errUnavailable(message string) *connect.Error {
	err := connect.NewError(connect.CodeUnavailable, errors.New(message))
	err.Meta().Set("Retry-After", retryAfter)
	return err
}

type pushedKey struct{}

func (r *Receive) push(ctx context.Context, _ *connect.Request[nothing]) (*connect.Response[pushv1.PushResponse], error) {
	message, ok := ctx.Value(pushedKey{}).(*pushed)
	if ok && message.profiles > 0 {
		err := r.forward(ctx, pipeline.Profile{
			Route: pipeline.ProfilePush,
			Body:  message.data,
			Items: message.profiles,
		})
		if pipeline.IsPermanent(err) {
			return nil, connect.NewError(connect.CodeInvalidArgument, err)
		} else if err != nil {
			return nil, errUnavailable(unavailable(err))
		}
	}
	return connect.NewResponse(&pushv1.PushResponse{}), nil
}

// nothing is what the library decodes, after the message has been read.
type nothing struct{}

// pushCodec encodes answers.
type pushCodec struct {
	name    string
	marshal func(proto.Message) ([]byte, error)
}

// Name implements connect.Codec.
func (c pushCodec) Name() string { return c.name }

// Marshal implements connect.Codec.
func (c pushCodec) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("BUG: a message of type %T is sent", message)
	}
	return c.marshal(m)
}

// Unmarshal implements connect.Codec.
func (pushCodec) Unmarshal(_ []byte, message any) error {
	if _, ok := message.(*nothing); !ok {
		return fmt.Errorf("BUG: a message is received into a %T", message)
	}
	return nil
}
