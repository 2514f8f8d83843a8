package auth

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
)

// HeadersConfig is the configuration of otelcol.auth.headers.
type HeadersConfig struct {
	Headers      []Header          `alloy:"header,block,optional"`
	DebugMetrics flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
}

// SetToDefault sets the defaults.
func (c *HeadersConfig) SetToDefault() {
	*c = HeadersConfig{}
	c.DebugMetrics.SetToDefault()
}

// Header is a header block.
type Header struct {
	Key           string            `alloy:"key,attr"`
	Value         *component.Secret `alloy:"value,attr,optional"`
	FromContext   *string           `alloy:"from_context,attr,optional"`
	FromAttribute *string           `alloy:"from_attribute,attr,optional"`
	Action        string            `alloy:"action,attr,optional"`
}

// The actions.
const (
	actionInsert = "insert"
	actionUpdate = "update"
	actionUpsert = "upsert"
	actionDelete = "delete"
)

// SetToDefault sets the defaults.
func (h *Header) SetToDefault() { *h = Header{Action: actionUpsert} }

// Validate rejects what cannot work.
func (h *Header) Validate() error {
	var errs []error
	switch strings.ToLower(h.Action) {
	case actionInsert, actionUpdate, actionUpsert, actionDelete:
	default:
		errs = append(errs, component.At("action", fmt.Errorf("%q is not known: use insert, update, upsert or delete", h.Action)))
	}
	if !validName(h.Key) {
		errs = append(errs, component.At("key", fmt.Errorf("%q is not the name of a header", h.Key)))
	}
	if h.Value != nil && !validValue(string(*h.Value)) {
		errs = append(errs, component.At("value", errors.New("it has a line end or another character that a header cannot have")))
	}
	sources := 0
	for _, set := range []bool{h.Value != nil, h.FromContext != nil, h.FromAttribute != nil} {
		if set {
			sources++
		}
	}
	switch {
	case sources == 0:
		errs = append(errs, errors.New("one of value, from_context and from_attribute must be set"))
	case sources > 1:
		errs = append(errs, errors.New("only one of value, from_context and from_attribute may be set"))
	}
	return errors.Join(errs...)
}

// validName reports whether both HTTP and gRPC can send a header of that name.
func validName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	})
}

func validValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

//go:embed otelcol.auth.headers.md
var headersPage string

func headersDefinition() component.Definition {
	return component.Define("otelcol.auth.headers", NewHeaders, doc(headersPage))
}

// NewHeaders makes otelcol.auth.headers.
func NewHeaders(c HeadersConfig, o component.Options) (*Component, error) {
	o = o.WithDefaults()
	return newComponent(o, &c.DebugMetrics, headersClient(c.Headers), nil), nil
}

// headersClient are the headers to set, in order.
type headersClient []Header

// Secret implements Client: some of the headers may be; nobody asks, as in Alloy.
func (headersClient) Secret() bool { return false }

// context is what a header needs of the context of a request.
func (h *Header) context(ctx context.Context) (value string, needed bool) {
	switch {
	case h.FromContext != nil:
		values := flow.MetadataOf(ctx).Values(*h.FromContext)
		if len(values) > 0 {
			value = values[0]
		}
		return value, true
	case h.FromAttribute != nil:
		return flow.AuthOf(ctx)[*h.FromAttribute], true
	}
	return "", false
}

// Carry implements Client: the values that are needed, by the numbers of the headers.
func (c headersClient) Carry(ctx context.Context) string {
	values := map[int]string{}
	for i := range c {
		if v, needed := c[i].context(ctx); needed && validValue(v) {
			values[i] = v
		}
	}
	if len(values) == 0 {
		return ""
	}
	carried, err := json.Marshal(values)
	if err != nil { // JSON can represent all of it
		return ""
	}
	return string(carried)
}

// Add implements Client.
func (c headersClient) Add(_ context.Context, carried string, to Headers) error {
	values := map[int]string{}
	if carried != "" {
		if err := json.Unmarshal([]byte(carried), &values); err != nil {
			return fmt.Errorf("read the headers that the queue keeps with a request: %w", err)
		}
	}
	for i := range c {
		h := &c[i]
		value := values[i]
		if h.Value != nil {
			value = string(*h.Value)
		}
		has := to.Get(h.Key) != ""
		switch strings.ToLower(h.Action) {
		case actionInsert:
			if !has {
				to.Set(h.Key, value)
			}
		case actionUpdate:
			if has {
				to.Set(h.Key, value)
			}
		case actionUpsert:
			to.Set(h.Key, value)
		case actionDelete:
			to.Del(h.Key)
		}
	}
	return nil
}

// tenantHeaders are the headers whose values are always the same.
func (c headersClient) tenantHeaders() map[string]string {
	headers := make(map[string]string)
	for i := range c {
		if c[i].Value != nil && !strings.EqualFold(c[i].Action, actionDelete) {
			headers[c[i].Key] = string(*c[i].Value)
		}
	}
	return headers
}
