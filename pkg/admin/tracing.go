package admin

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traced makes a span of each request, if there is a block tracing. It has the name and
// the attributes of Alloy's spans, and continues the client's trace.
func (s *Server) traced(mux *http.ServeMux, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.options.Spans.Enabled() {
			next.ServeHTTP(w, r)
			return
		}
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		route := s.route(mux, r)
		name := route
		attributes := requestAttributes(r)
		if route == "" {
			name = "HTTP " + methodOf(r) + " route not found"
		} else {
			attributes = append(attributes, attribute.String("http.route", route))
		}
		ctx, span := s.options.Spans.Tracer("").Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
		defer span.End()
		answer := &answered{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r.WithContext(ctx))
		span.SetAttributes(attribute.Int("http.status_code", answer.status))
		if answer.status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	})
}

// route is the pattern of mux that a request matches, without the method; "" if there
// is none.
func (s *Server) route(mux *http.ServeMux, r *http.Request) string {
	_, pattern := mux.Handler(&http.Request{Method: r.Method, Host: r.Host, URL: &url.URL{Path: s.servedPath(r.URL.Path)}})
	if _, path, ok := strings.Cut(pattern, " "); ok {
		return path
	}
	return pattern
}

// methodOf is the method of a request, which a client may choose freely.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return r.Method
	}
	return "_OTHER"
}

func requestAttributes(r *http.Request) []attribute.KeyValue {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	attributes := []attribute.KeyValue{
		attribute.String("http.method", methodOf(r)), attribute.String("http.scheme", scheme),
		attribute.String("http.flavor", strings.TrimPrefix(r.Proto, "HTTP/")), attribute.String("net.host.name", "alloy"),
	}
	port := func(name, text string) {
		if n, err := strconv.Atoi(text); err == nil {
			attributes = append(attributes, attribute.Int(name, n))
		}
	}
	if _, own, err := net.SplitHostPort(r.Host); err == nil {
		port("net.host.port", own)
	}
	if host, of, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		attributes = append(attributes, attribute.String("net.sock.peer.addr", host))
		port("net.sock.peer.port", of)
	}
	if agent := r.UserAgent(); agent != "" {
		attributes = append(attributes, attribute.String("http.user_agent", agent))
	}
	return attributes
}

// answered keeps the status of a response.
type answered struct {
	http.ResponseWriter
	status  int
	written bool
}

func (a *answered) WriteHeader(status int) {
	if !a.written && status >= http.StatusOK {
		a.written, a.status = true, status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answered) Write(b []byte) (int, error) {
	a.written = true
	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }
