package otlp

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/keepalive"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/otlp/auth"
	"collector/pkg/otlp/compression"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/security"
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
	Endpoint             string              `alloy:"endpoint,attr,optional"`
	Transport            string              `alloy:"transport,attr,optional"`
	MaxRecvMsgSize       component.Bytes     `alloy:"max_recv_msg_size,attr,optional"`
	MaxConcurrentStreams uint32              `alloy:"max_concurrent_streams,attr,optional"`
	ReadBufferSize       component.Bytes     `alloy:"read_buffer_size,attr,optional"`
	WriteBufferSize      component.Bytes     `alloy:"write_buffer_size,attr,optional"`
	IncludeMetadata      bool                `alloy:"include_metadata,attr,optional"`
	Auth                 *auth.Handler       `alloy:"auth,attr,optional"`
	TLS                  *security.TLSServer `alloy:"tls,block,optional"`
	Keepalive            *ServerKeepalive    `alloy:"keepalive,block,optional"`
}

// defaultMaxRecvMsgSize is larger than Alloy's 4 MiB, which senders that batch
// by items exceed; what goes out is cut again.
const defaultMaxRecvMsgSize = 16 * component.MiB

// SetToDefault sets the defaults. The read buffer is 32 KiB, not Alloy's
// 512 KiB: it is allocated for each connection.
func (c *GRPCServer) SetToDefault() {
	*c = GRPCServer{
		Endpoint:       "0.0.0.0:4317",
		Transport:      "tcp",
		MaxRecvMsgSize: defaultMaxRecvMsgSize,
		ReadBufferSize: 32 * component.KiB,
	}
}

// withDefaults is c with the defaults in place of 0.
func (c *GRPCServer) withDefaults() GRPCServer {
	d := *c
	if d.MaxRecvMsgSize <= 0 {
		d.MaxRecvMsgSize = defaultMaxRecvMsgSize
	}
	return d
}

// Validate rejects what cannot work.
func (c *GRPCServer) Validate() error {
	if !slices.Contains([]string{"tcp", "tcp4", "tcp6", "unix"}, c.Transport) {
		return component.At("transport", fmt.Errorf("%q is not supported: use tcp, tcp4, tcp6 or unix", c.Transport))
	}
	return errors.Join(c.Auth.CheckServer(), checkListenAddress(c.Transport, c.Endpoint))
}

func checkListenAddress(network, address string) error {
	if network == "unix" {
		if address == "" {
			return component.At("endpoint", errors.New("the path of the socket is missing"))
		}
		return nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return component.At("endpoint", fmt.Errorf("%q is not an address to listen on: write HOST:PORT, such as \"0.0.0.0:4317\"", address))
	}
	return nil
}

// ServerKeepalive is the grpc > keepalive block.
type ServerKeepalive struct {
	ServerParameters  *ServerParameters  `alloy:"server_parameters,block,optional"`
	EnforcementPolicy *EnforcementPolicy `alloy:"enforcement_policy,block,optional"`
}

// ServerParameters say when connections end; 0 means never. Unlike Alloy's, idle
// ones end by default.
type ServerParameters struct {
	MaxConnectionIdle     time.Duration `alloy:"max_connection_idle,attr,optional"`
	MaxConnectionAge      time.Duration `alloy:"max_connection_age,attr,optional"`
	MaxConnectionAgeGrace time.Duration `alloy:"max_connection_age_grace,attr,optional"`
	Time                  time.Duration `alloy:"time,attr,optional"`
	Timeout               time.Duration `alloy:"timeout,attr,optional"`
}

// SetToDefault sets the defaults.
func (c *ServerParameters) SetToDefault() {
	*c = ServerParameters{MaxConnectionIdle: listen.IdleTimeout, Time: 2 * time.Hour, Timeout: 20 * time.Second}
}

// serverParameters are those in force.
func (c *GRPCServer) serverParameters() keepalive.ServerParameters {
	if c.Keepalive == nil || c.Keepalive.ServerParameters == nil {
		return keepalive.ServerParameters{MaxConnectionIdle: listen.IdleTimeout}
	}
	return keepalive.ServerParameters(*c.Keepalive.ServerParameters)
}

// EnforcementPolicy says how often clients may ping.
type EnforcementPolicy struct {
	MinTime             time.Duration `alloy:"min_time,attr,optional"`
	PermitWithoutStream bool          `alloy:"permit_without_stream,attr,optional"`
}

// SetToDefault sets the defaults.
func (c *EnforcementPolicy) SetToDefault() { *c = EnforcementPolicy{MinTime: 5 * time.Minute} }

// HTTPServer is the http block.
type HTTPServer struct {
	Endpoint              string              `alloy:"endpoint,attr,optional"`
	MaxRequestBodySize    component.Bytes     `alloy:"max_request_body_size,attr,optional"`
	IncludeMetadata       bool                `alloy:"include_metadata,attr,optional"`
	CompressionAlgorithms []string            `alloy:"compression_algorithms,attr,optional"`
	KeepAlivesEnabled     bool                `alloy:"keep_alives_enabled,attr,optional"`
	TracesURLPath         string              `alloy:"traces_url_path,attr,optional"`
	MetricsURLPath        string              `alloy:"metrics_url_path,attr,optional"`
	LogsURLPath           string              `alloy:"logs_url_path,attr,optional"`
	Auth                  *auth.Handler       `alloy:"auth,attr,optional"`
	TLS                   *security.TLSServer `alloy:"tls,block,optional"`
	CORS                  *CORS               `alloy:"cors,block,optional"`
}

const defaultMaxRequestBodySize = 20 * component.MiB

// SetToDefault sets the defaults.
func (c *HTTPServer) SetToDefault() {
	*c = HTTPServer{
		Endpoint:              "0.0.0.0:4318",
		MaxRequestBodySize:    defaultMaxRequestBodySize,
		CompressionAlgorithms: []string{"", "gzip", "zstd", "zlib", "snappy", "deflate", "lz4"},
		KeepAlivesEnabled:     true,
		TracesURLPath:         "/v1/traces",
		MetricsURLPath:        "/v1/metrics",
		LogsURLPath:           "/v1/logs",
	}
}

// Validate rejects what cannot work.
func (c *HTTPServer) Validate() error {
	errs := []error{c.Auth.CheckServer(), checkListenAddress("tcp", c.Endpoint)}
	for _, name := range c.CompressionAlgorithms {
		if name != "" && name != "x-snappy-framed" && !compression.Known(name) {
			errs = append(errs, component.At("compression_algorithms", fmt.Errorf("%q is not known: use %s, or \"\" for none", name, compression.Names)))
		}
	}
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

// CORS is the http > cors block: which web pages may send.
type CORS struct {
	AllowedOrigins []string `alloy:"allowed_origins,attr,optional"`
	AllowedHeaders []string `alloy:"allowed_headers,attr,optional"`
	MaxAge         int      `alloy:"max_age,attr,optional"` // in seconds
}

// SetToDefault sets the defaults.
func (c *CORS) SetToDefault() { *c = CORS{AllowedHeaders: []string{"X-Requested-With"}} }

// Validate rejects what cannot work.
func (c *CORS) Validate() error {
	if c.MaxAge < 0 {
		return component.At("max_age", errors.New("it cannot be negative"))
	}
	return nil
}
