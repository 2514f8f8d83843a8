package observe

import (
	"net"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Trace makes a span of each request, named by method and route, which continues the
// caller's trace if there is one. It goes outside Access and Metrics, whose lines and
// exemplars carry its ids.
func Trace(provider trace.TracerProvider, route Route) Middleware {
	tracer := provider.Tracer("collector/backend/observe")
	propagator := propagation.TraceContext{}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			path := route(r)
			ctx := propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
			ctx, span := tracer.Start(ctx, methodOf(r)+" "+path,
				trace.WithSpanKind(trace.SpanKindServer),
				trace.WithAttributes(requestAttributes(r, path)...))
			answer := watch(w, r)

			// Deferred, because a handler may abort its request by a panic.
			defer func() {
				finish(span, answer)
				span.End()
			}()
			next.ServeHTTP(answer, r.WithContext(ctx))
		})
	}
}

func requestAttributes(r *http.Request, path string) []attribute.KeyValue {
	attributes := []attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(methodOf(r)),
		semconv.URLScheme("http"),
		semconv.URLPath(r.URL.Path),
		semconv.UserAgentOriginal(r.UserAgent()),
		semconv.NetworkProtocolVersion(strconv.Itoa(r.ProtoMajor) + "." + strconv.Itoa(r.ProtoMinor)),
	}
	if path != Unmatched {
		attributes = append(attributes, semconv.HTTPRoute(path))
	}
	if r.URL.RawQuery != "" {
		attributes = append(attributes, semconv.URLQuery(r.URL.RawQuery))
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		attributes = append(attributes, semconv.ClientAddress(host))
	}
	return attributes
}

// finish records how the request ended. Only server errors mark the span as failed.
func finish(span trace.Span, answer *response) {
	status := answer.Status()
	span.SetAttributes(
		semconv.HTTPResponseStatusCode(status),
		semconv.HTTPResponseBodySize(int(answer.size)),
	)
	if id := answer.Header().Get(requestIDHeader); id != "" {
		span.SetAttributes(attribute.String("request_id", id))
	}
	if status >= 500 {
		span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(status)))
		span.SetStatus(codes.Error, http.StatusText(status))
	}
}
