package auth

import (
	_ "embed"
	"errors"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
)

// BearerConfig is the configuration of otelcol.auth.bearer.
type BearerConfig struct {
	Scheme       string            `alloy:"scheme,attr,optional"`
	Token        component.Secret  `alloy:"token,attr"`
	Header       string            `alloy:"header,attr,optional"`
	DebugMetrics flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
}

// SetToDefault sets the defaults.
func (c *BearerConfig) SetToDefault() {
	*c = BearerConfig{Scheme: "Bearer", Header: "Authorization"}
	c.DebugMetrics.SetToDefault()
}

// Validate rejects what cannot work.
func (c *BearerConfig) Validate() error {
	if !validName(c.Header) {
		return component.At("header", errors.New("it is not the name of a header"))
	}
	if !validValue(c.value()) {
		return component.At("token", errors.New("it, or scheme, has a line end or another character that a header cannot have"))
	}
	return nil
}

// value is what the header has.
func (c *BearerConfig) value() string {
	if c.Scheme == "" {
		return string(c.Token)
	}
	return c.Scheme + " " + string(c.Token)
}

//go:embed otelcol.auth.bearer.md
var bearerPage string

func bearerDefinition() component.Definition {
	return component.Define("otelcol.auth.bearer", NewBearer, doc(bearerPage))
}

// NewBearer makes otelcol.auth.bearer.
func NewBearer(c BearerConfig, o component.Options) (*Component, error) {
	o = o.WithDefaults()
	if c.Token == "" {
		o.Warn("token", "it is empty (is an environment variable not set?): exporters send no token, and receivers reject everyone")
	}
	return newComponent(o, &c.DebugMetrics, fixed{c.Header, c.value()}, bearerServer{c.Header, c.value(), c.Token == ""}), nil
}

type bearerServer struct {
	header, value string
	empty         bool // there is no token, and nobody is let in
}

// Authenticate implements Server.
func (s bearerServer) Authenticate(headers flow.Metadata) (map[string]string, error) {
	sent := headers.Values(s.header)
	if len(sent) == 0 {
		return nil, errMissing
	}
	if s.empty || equal(sent[0], s.value) != 1 {
		return nil, errWrong
	}
	return nil, nil
}
