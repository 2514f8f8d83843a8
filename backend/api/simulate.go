package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// call represents a request to another service, and takes a random time. Its span is what
// an instrumented client would make: the service map draws the peer by its name.
func (a *API) call(ctx context.Context, peer, operation string, min, max time.Duration, attributes ...attribute.KeyValue) error {
	ctx, span := a.tracer.Start(ctx, peer+" "+operation,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("peer.service", peer)),
		trace.WithAttributes(attributes...))
	defer span.End()

	if err := a.Wait(ctx, a.between(min, max)); err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
		return err
	}
	return nil
}

// database represents the time that a database would take.
func (a *API) database(ctx context.Context, operation string, attributes ...attribute.KeyValue) error {
	return a.call(ctx, "database", operation, 2*time.Millisecond, 40*time.Millisecond, attributes...)
}

func (a *API) between(min, max time.Duration) time.Duration {
	return min + time.Duration(a.Random()*float64(max-min))
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (a *API) slow(w http.ResponseWriter, r *http.Request) error {
	return a.report(w, r, 500*time.Millisecond, 3*time.Second)
}

func (a *API) verySlow(w http.ResponseWriter, r *http.Request) error {
	return a.report(w, r, 3*time.Second, 8*time.Second)
}

func (a *API) report(w http.ResponseWriter, r *http.Request, min, max time.Duration) error {
	start := time.Now()
	if err := a.call(r.Context(), "reports", "build", min, max); err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]float64{"seconds": time.Since(start).Seconds()})
}

func (a *API) badRequest(http.ResponseWriter, *http.Request) error {
	return refuse(http.StatusBadRequest, "this endpoint refuses every request")
}

var errNoStock = errors.New("the warehouse does not answer")

func (a *API) serverError(http.ResponseWriter, *http.Request) error { return errNoStock }

// catalog is what exception forgets to fill.
type catalog struct {
	prices   map[string]float64
	names    []string
	cheapest *Item
}

// exception has one of the bugs that make Go programs panic.
func (a *API) exception(w http.ResponseWriter, _ *http.Request) error {
	var c catalog
	switch n := int(a.Random() * 4); n {
	case 0:
		c.prices["lamp"] = 24.9 // the map is nil
	case 1:
		return reply(w, http.StatusOK, c.names[n]) // the slice is empty
	case 2:
		return reply(w, http.StatusOK, c.cheapest.Name) // the pointer is nil
	}
	panic(errNoStock)
}

// random succeeds most of the time.
func (a *API) random(w http.ResponseWriter, r *http.Request) error {
	outcome := a.Random()
	if err := a.call(r.Context(), "fortune", "ask", 10*time.Millisecond, 600*time.Millisecond); err != nil {
		return err
	}
	switch {
	case outcome < 0.70:
		return reply(w, http.StatusOK, map[string]string{"outcome": "fine"})
	case outcome < 0.80:
		return refuse(http.StatusBadRequest, "bad luck")
	case outcome < 0.90:
		return refuse(http.StatusNotFound, "nothing here this time")
	}
	return errNoStock
}
