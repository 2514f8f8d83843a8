// Package ui is the debug UI: pages that are rendered on the server, and the
// same facts as JSON below /api/v1.
//
// Each page has a file of its own, in which a model function collects what is
// to be shown and a view function makes HTML of it. The model is what the API
// answers, so that all that a page shows is also JSON. routes.go lists them.
package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	dto "github.com/prometheus/client_model/go"

	"collector/pkg/explore"
	"collector/pkg/graph"
	"collector/pkg/live"
)

// Source is where the UI reads. It gives snapshots: nothing that it returns
// holds up a pipeline.
type Source interface {
	Summary() graph.Snapshot
	Component(id string) (graph.ComponentInfo, bool)
	ComponentMetrics(id string) []*dto.MetricFamily
	Configuration() (inForce graph.Attempt, failed *graph.Attempt)
	Edges() []*live.Edge
}

// Options make a UI.
type Options struct {
	Source Source
	Reload func(context.Context) error
	Rates  Rates // may be nil
	// Destinations may be nil.
	Destinations Destinations
	// Live is where what passes is watched; nil if it cannot be.
	Live *live.Hub
	// Explore is the window of recent data; nil if it is off.
	Explore *explore.Window
	// Inventory is what there is to collect from; it may be nil.
	Inventory Inventory
	// Support is what only the program can give to a support bundle; nil if
	// there is to be no bundle.
	Support *Support
	Prefix  string // below which a browser sees the UI: "" or "/a/b"
	Version string
	Logger  *slog.Logger
}

// UI serves the pages and the API.
type UI struct {
	options  Options
	assets   assets
	watchers atomic.Int64
	veils    veils
	asking   atomic.Int64 // requests to targets under way
	asked    askRate
	closing  chan struct{} // closed by Close
	close    func()
}

// New makes a UI.
func New(o Options) *UI {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	u := &UI{options: o, assets: loadAssets(), closing: make(chan struct{})}
	u.close = sync.OnceFunc(func() { close(u.closing) })
	return u
}

// Close ends the streams of events, which would end with the client only.
func (u *UI) Close() { u.close() }

// Register adds the UI to mux.
func (u *UI) Register(mux *http.ServeMux) {
	for _, r := range u.routes() {
		if r.page != "" {
			mux.HandleFunc("GET "+r.page, func(w http.ResponseWriter, req *http.Request) { u.servePage(w, req, r) })
		}
		if r.api != "" {
			mux.HandleFunc("GET "+r.api, func(w http.ResponseWriter, req *http.Request) { u.serveJSON(w, req, r) })
		}
	}
	ask := define("", "", u.askTarget, u.responsePage)
	mux.HandleFunc("POST /targets/{component}/{id}/response", func(w http.ResponseWriter, req *http.Request) { u.servePage(w, req, ask) })
	mux.HandleFunc("POST /api/v1/targets/{component}/{id}/response", func(w http.ResponseWriter, req *http.Request) { u.serveJSON(w, req, ask) })
	mux.HandleFunc("GET "+SupportPath, u.serveSupport)
	mux.HandleFunc("POST /configuration/reload", u.reloadPage)
	mux.HandleFunc("POST /api/v1/reload", u.reloadAPI)
	mux.HandleFunc("GET /live/events", u.liveEvents)
	mux.HandleFunc("GET /api/v1/live/events", u.liveEventsAPI)
	mux.HandleFunc("GET /assets/{path...}", u.assets.serve)
	mux.HandleFunc("GET /favicon.ico", u.assets.favicon)
	mux.HandleFunc("/", u.notFound)
}

// notFound is the error of a model that has nothing of that name.
type notFound string

func (e notFound) Error() string { return string(e) }

func statusOf(err error) int {
	var missing notFound
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &missing):
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}

func (u *UI) servePage(w http.ResponseWriter, req *http.Request, r route) {
	model, err := r.model(req)
	if err != nil {
		u.write(w, req, statusOf(err), u.errorPage(err))
		return
	}
	u.write(w, req, http.StatusOK, r.view(req, model))
}

func (u *UI) serveJSON(w http.ResponseWriter, req *http.Request, r route) {
	model, err := r.model(req)
	if err != nil {
		WriteJSON(w, statusOf(err), map[string]string{"error": err.Error()})
		return
	}
	WriteJSON(w, http.StatusOK, model)
}

func (u *UI) notFound(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	if strings.HasPrefix(req.URL.Path, "/api/") {
		WriteJSON(w, http.StatusNotFound, map[string]string{"error": "there is nothing at " + req.URL.Path})
		return
	}
	u.write(w, req, http.StatusNotFound, u.errorPage(notFound("There is no page at "+req.URL.Path+".")))
}

// write renders a page as a whole before anything of it is sent, so that an
// error does not leave half of one.
func (u *UI) write(w http.ResponseWriter, req *http.Request, status int, p Page) {
	var buf bytes.Buffer
	if err := u.shell(req, p).Render(&buf); err != nil {
		u.options.Logger.Error("render a page", "path", req.URL.Path, "err", err)
		http.Error(w, "the page could not be rendered", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // the client may have gone
}

// WriteJSON answers with v.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer could not be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
