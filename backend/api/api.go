// Package api is the service's business logic, just enough to have something to observe:
// items, orders that refer to them, and endpoints that are slow, busy or broken.
package api

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/trace"
	"log/slog"
)

// Options are set by the program, or by a test.
type Options struct {
	Name     string
	Version  string
	Log      *slog.Logger
	Provider trace.TracerProvider
	// Random returns a number from 0 up to, but not including, 1. Nil means
	// a random one.
	Random func() float64
	// Wait returns after d, or with the cause as soon as ctx ends. Nil means
	// to do just that.
	Wait func(ctx context.Context, d time.Duration) error
}

// API serves the endpoints.
type API struct {
	Options
	tracer trace.Tracer
	items  *store[Item]
	orders *store[Order]
}

// maxStored bounds each kind of thing, so that load costs no memory.
const maxStored = 1000

// New returns an API that has a few items in stock.
func New(o Options) *API {
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	a := &API{
		Options: o,
		tracer:  o.Provider.Tracer("collector/backend/api"),
		items:   newStore[Item](maxStored),
		orders:  newStore[Order](maxStored),
	}
	for _, item := range []Item{
		{Name: "Lamp", Description: "Gives light.", Price: 24.9},
		{Name: "Chair", Description: "Four legs.", Price: 79},
		{Name: "Table", Description: "Four longer legs.", Price: 249},
	} {
		a.items.add(func(id int) Item { item.ID = id; return item })
	}
	return a
}

// Routes returns what is served, by the patterns of http.ServeMux.
func (a *API) Routes() map[string]http.Handler {
	routes := map[string]http.Handler{"GET /docs": docsPage(), "GET /docs/openapi.json": docsFile()}
	for pattern, serve := range map[string]endpoint{
		"GET /{$}":                      a.root,
		"GET /api/items":                a.listItems,
		"POST /api/items":               a.createItem,
		"GET /api/items/{item_id}":      a.getItem,
		"PUT /api/items/{item_id}":      a.replaceItem,
		"PATCH /api/items/{item_id}":    a.changeItem,
		"DELETE /api/items/{item_id}":   a.deleteItem,
		"POST /api/orders":              a.createOrder,
		"GET /api/orders/{order_id}":    a.getOrder,
		"DELETE /api/orders/{order_id}": a.deleteOrder,
		"GET /api/slow":                 a.slow,
		"GET /api/very-slow":            a.verySlow,
		"GET /api/cpu":                  a.cpu,
		"GET /api/bad-request":          a.badRequest,
		"GET /api/server-error":         a.serverError,
		"GET /api/exception":            a.exception,
		"GET /api/random":               a.random,
	} {
		routes[pattern] = a.answering(serve)
	}
	return routes
}

func (a *API) root(w http.ResponseWriter, r *http.Request) error {
	return reply(w, http.StatusOK, map[string]string{"name": a.Name, "version": a.Version, "docs": "/docs"})
}
