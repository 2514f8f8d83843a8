package otlp

import (
	"errors"
	"fmt"
	"strings"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/server"
)

// Config is the configuration of otelcol.receiver.otlp.
type Config struct {
	GRPC         *GRPCServer       `alloy:"grpc,block,optional"`
	HTTP         *HTTPServer       `alloy:"http,block,optional"`
	DebugMetrics flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
	Output       flow.Output       `alloy:"output,block"`
}

// SetToDefault sets the defaults: a protocol without a block is not served.
func (c *Config) SetToDefault() {
	*c = Config{}
	c.DebugMetrics.SetToDefault()
}

// GRPCServer is the grpc block.
type GRPCServer struct {
	server.GRPCConfig `alloy:",squash"`
}

// SetToDefault sets the defaults.
func (c *GRPCServer) SetToDefault() { *c = GRPCServer{server.GRPCDefaults("0.0.0.0:4317")} }

// HTTPServer is the http block.
type HTTPServer struct {
	server.HTTPConfig `alloy:",squash"`
	TracesURLPath     string `alloy:"traces_url_path,attr,optional"`
	MetricsURLPath    string `alloy:"metrics_url_path,attr,optional"`
	LogsURLPath       string `alloy:"logs_url_path,attr,optional"`
}

// SetToDefault sets the defaults.
func (c *HTTPServer) SetToDefault() {
	*c = HTTPServer{
		HTTPConfig:     server.HTTPDefaults("0.0.0.0:4318"),
		TracesURLPath:  "/v1/traces",
		MetricsURLPath: "/v1/metrics",
		LogsURLPath:    "/v1/logs",
	}
}

// Validate rejects what cannot work.
func (c *HTTPServer) Validate() error {
	errs := []error{c.HTTPConfig.Validate()}
	for _, p := range []struct{ name, path string }{
		{"traces_url_path", c.TracesURLPath}, {"metrics_url_path", c.MetricsURLPath}, {"logs_url_path", c.LogsURLPath},
	} {
		if p.path == "" || strings.ContainsAny(p.path, "?# ") {
			errs = append(errs, component.At(p.name, fmt.Errorf("%q is not a path; for example: \"/v1/traces\"", p.path)))
		}
	}
	if c.TracesURLPath == c.MetricsURLPath || c.TracesURLPath == c.LogsURLPath || c.MetricsURLPath == c.LogsURLPath {
		errs = append(errs, component.At("traces_url_path", errors.New("it, metrics_url_path and logs_url_path must differ, as the path distinguishes the signals")))
	}
	return errors.Join(errs...)
}
