// Command clients sends spans by the clients of Zipkin and Jaeger, for the tests of
// receivers. It is a module of its own, so that what they need stays out of the
// collector's go.mod.
//
//	clients zipkin URL
//	clients jaeger-http URL
//	clients jaeger-udp HOST:PORT
//
// Each sends ten spans of the service "shop", named "op 0" to "op 9": each is the
// parent of the next, and has the tags n (its number) and text.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/opentracing/opentracing-go"
	openzipkin "github.com/openzipkin/zipkin-go"
	zipkinhttp "github.com/openzipkin/zipkin-go/reporter/http"
	"github.com/uber/jaeger-client-go"
	"github.com/uber/jaeger-client-go/transport"
)

const spans, text = 10, "ünïcode \"quoted\""

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: clients zipkin|jaeger-http|jaeger-udp ADDRESS")
	}
	switch address := args[1]; args[0] {
	case "zipkin":
		return zipkin(address)
	case "jaeger-http":
		return jaegerSpans(transport.NewHTTPTransport(address))
	case "jaeger-udp":
		sender, err := jaeger.NewUDPTransport(address, 0)
		if err != nil {
			return err
		}
		return jaegerSpans(sender)
	}
	return fmt.Errorf("%q is not a client", args[0])
}

func zipkin(url string) error {
	reporter := zipkinhttp.NewReporter(url)
	endpoint, err := openzipkin.NewEndpoint("shop", "127.0.0.1:80")
	if err != nil {
		return err
	}
	tracer, err := openzipkin.NewTracer(reporter, openzipkin.WithLocalEndpoint(endpoint))
	if err != nil {
		return err
	}
	ctx := context.Background()
	var all []openzipkin.Span
	for i := range spans {
		var span openzipkin.Span
		span, ctx = tracer.StartSpanFromContext(ctx, fmt.Sprintf("op %d", i))
		span.Tag("n", fmt.Sprint(i))
		span.Tag("text", text)
		all = append(all, span)
	}
	for _, span := range all {
		span.Finish()
	}
	return reporter.Close() // sends what it has
}

// jaegerSpans sends by a transport, which it closes.
func jaegerSpans(sender jaeger.Transport) error {
	reporter := jaeger.NewRemoteReporter(sender)
	tracer, closer := jaeger.NewTracer("shop", jaeger.NewConstSampler(true), reporter)
	var parent opentracing.SpanContext
	var all []opentracing.Span
	for i := range spans {
		var options []opentracing.StartSpanOption
		if parent != nil {
			options = append(options, opentracing.ChildOf(parent))
		}
		span := tracer.StartSpan(fmt.Sprintf("op %d", i), options...)
		span.SetTag("n", i)
		span.SetTag("text", text)
		parent, all = span.Context(), append(all, span)
	}
	for _, span := range all {
		span.Finish()
	}
	return closer.Close() // sends what the reporter has
}
