// Package auth is otelcol.auth.*: how clients of OTLP say who they are, and how
// servers know them.
//
// A component exports a Handler, which the argument auth of a client or a server takes.
// The exporter of a client keeps its requests on disk: Carry saves what a Client needs of
// the context in which a request came, and Add gets that back when the request is sent,
// which may be after a restart.
package auth

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// Headers are the headers of a request, such as an http.Header.
type Headers interface {
	Get(name string) string
	Set(name, value string)
	Del(name string)
}

// Client is the client's side.
type Client interface {
	// Carry is what Add will need of the context of a request; "" for nothing.
	Carry(ctx context.Context) string
	// Add sets headers of a request that is about to be sent. carried is what Carry
	// returned when it came.
	Add(ctx context.Context, carried string, h Headers) error
	// Secret reports whether what Add sets must not be sent without TLS where the
	// protocol can tell, as gRPC can.
	Secret() bool
}

// Server is the server's side.
type Server interface {
	// Authenticate returns what is then known of the client, for others to read with
	// flow.AuthOf; nil for nothing. Its error is for the client, and reveals nothing
	// secret.
	Authenticate(headers flow.Metadata) (attributes map[string]string, err error)
}

// Handler is what a component of otelcol.auth exports.
type Handler struct {
	id     string
	client Client
	server Server
	absent bool // of a component that cannot be made on this machine
}

// Kind is the kind of handlers.
func Kind() pipeline.Kind {
	return pipeline.Kind{
		Type: reflect.TypeFor[*Handler](), Name: "otelcol.Handler", Is: "an authentication handler",
		From: "an authentication component, such as otelcol.auth.basic.<label>.handler", Optional: true,
		Absent: func() any { return &Handler{absent: true} },
	}
}

// CheckClient rejects a handler, which may be nil, that a client can't use. Its error is
// about the argument auth.
func (h *Handler) CheckClient() error {
	if h == nil || h.absent || h.client != nil {
		return nil
	}
	return component.At("auth", fmt.Errorf("%s does not authenticate clients", h.id))
}

// CheckServer rejects a handler, which may be nil, that a server can't use. Its error is
// about the argument auth.
func (h *Handler) CheckServer() error {
	if h == nil || h.absent || h.server != nil {
		return nil
	}
	return component.At("auth", fmt.Errorf("%s does not authenticate at servers; otelcol.auth.basic and otelcol.auth.bearer do", h.id))
}

// Client is the client's side; nil: there is nothing to do. h may be nil.
func (h *Handler) Client() Client {
	if h == nil {
		return nil
	}
	return h.client
}

// Server is the server's side; nil: everyone is let in. h may be nil.
func (h *Handler) Server() Server {
	if h == nil {
		return nil
	}
	return h.server
}

// Component is a component that exports a handler and does nothing else.
type Component struct{ handler *Handler }

func newComponent(o component.Options, debug *flow.DebugMetrics, c Client, s Server) *Component {
	debug.Warn(o)
	return &Component{&Handler{id: o.ID, client: c, server: s}}
}

// Exports is the handler.
func (h *Component) Exports() map[string]any { return map[string]any{"handler": h.handler} }

// Run waits for ctx to end.
func (h *Component) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// doc is the documentation of a component whose page is given.
func doc(page string) component.Doc {
	return component.Doc{Page: page, Exports: []component.Export{{Name: "handler", Type: "otelcol.Handler", Note: "for the argument `auth`"}}}
}

// Definitions defines the components.
func Definitions() []component.Definition {
	return []component.Definition{basicDefinition(), bearerDefinition(), headersDefinition(), oauth2Definition()}
}

// fixed is a client that adds one header, always the same.
type fixed struct{ name, value string }

func (fixed) Carry(context.Context) string { return "" }
func (fixed) Secret() bool                 { return true }

func (f fixed) Add(_ context.Context, _ string, h Headers) error {
	h.Set(f.name, f.value)
	return nil
}

// missing are errors for clients that send no credentials, and wrong for those that send
// wrong ones.
var (
	errMissing = errors.New("credentials are missing")
	errWrong   = errors.New("the credentials are wrong")
)
