package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

// unwired is the error of a signal without an output.
func unwired(s pipeline.Signal) error {
	return fmt.Errorf("the receiver has no output for %s", s)
}

// StatusOf says to a client why its request was not taken, in the terms of
// OTLP: InvalidArgument for what no retry fixes, and otherwise Unavailable
// with the time after which to send again.
func StatusOf(err error) *status.Status {
	// A status must be valid text: other bytes could not be encoded.
	message := strings.ToValidUTF8(err.Error(), "\uFFFD")
	switch {
	case errors.As(err, new(unknownClient)):
		return status.New(codes.Unauthenticated, message)
	case pipeline.IsPermanent(err):
		return status.New(codes.InvalidArgument, message)
	case errors.Is(err, wire.ErrTooLarge):
		return status.New(codes.ResourceExhausted, message)
	case errors.Is(err, context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, message)
	case errors.Is(err, context.Canceled):
		return status.New(codes.Canceled, message)
	}
	s := status.New(codes.Unavailable, message)
	if detailed, derr := s.WithDetails(retryInfo()); derr == nil {
		s = detailed
	}
	return s
}

// retryInfo tells a client when to send again.
func retryInfo() *errdetails.RetryInfo {
	return &errdetails.RetryInfo{RetryDelay: durationpb.New(RetryAfter)}
}

// CodeOf is the HTTP status that says the same as s.
func CodeOf(s *spb.Status) int {
	switch codes.Code(s.GetCode()) {
	case codes.InvalidArgument:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.ResourceExhausted:
		return http.StatusRequestEntityTooLarge
	default:
		return http.StatusServiceUnavailable
	}
}
