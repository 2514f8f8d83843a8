package server

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"google.golang.org/grpc/keepalive"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/otlp/auth"
	"collector/pkg/otlp/compression"
	"collector/pkg/otlp/security"
)

// GRPCConfig are the arguments and blocks of a server of gRPC.
type GRPCConfig struct {
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

// GRPCDefaults are the defaults of a server that listens on endpoint. The read buffer
// is 32 KiB, not Alloy's 512 KiB: it is allocated for each connection.
func GRPCDefaults(endpoint string) GRPCConfig {
	return GRPCConfig{
		Endpoint:       endpoint,
		Transport:      "tcp",
		MaxRecvMsgSize: defaultMaxRecvMsgSize,
		ReadBufferSize: 32 * component.KiB,
	}
}

// withDefaults is c with the defaults in place of 0.
func (c *GRPCConfig) withDefaults() GRPCConfig {
	d := *c
	if d.MaxRecvMsgSize <= 0 {
		d.MaxRecvMsgSize = defaultMaxRecvMsgSize
	}
	return d
}

// Validate rejects what cannot work.
func (c *GRPCConfig) Validate() error {
	if !slices.Contains([]string{"tcp", "tcp4", "tcp6", "unix"}, c.Transport) {
		return component.At("transport", fmt.Errorf("%q is not supported: use tcp, tcp4, tcp6 or unix", c.Transport))
	}
	return errors.Join(c.Auth.CheckServer(), CheckAddress(c.Transport, c.Endpoint))
}

// CheckAddress says what is wrong with the argument endpoint.
func CheckAddress(network, address string) error {
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

// ServerKeepalive is the block keepalive of a server of gRPC.
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
func (c *GRPCConfig) serverParameters() keepalive.ServerParameters {
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

// HTTPConfig are the arguments and blocks of a server of HTTP.
type HTTPConfig struct {
	Endpoint              string              `alloy:"endpoint,attr,optional"`
	MaxRequestBodySize    component.Bytes     `alloy:"max_request_body_size,attr,optional"`
	IncludeMetadata       bool                `alloy:"include_metadata,attr,optional"`
	CompressionAlgorithms []string            `alloy:"compression_algorithms,attr,optional"`
	KeepAlivesEnabled     bool                `alloy:"keep_alives_enabled,attr,optional"`
	Auth                  *auth.Handler       `alloy:"auth,attr,optional"`
	TLS                   *security.TLSServer `alloy:"tls,block,optional"`
	CORS                  *CORS               `alloy:"cors,block,optional"`
}

const defaultMaxRequestBodySize = 20 * component.MiB

// HTTPDefaults are the defaults of a server that listens on endpoint.
func HTTPDefaults(endpoint string) HTTPConfig {
	return HTTPConfig{
		Endpoint:              endpoint,
		MaxRequestBodySize:    defaultMaxRequestBodySize,
		CompressionAlgorithms: []string{"", "gzip", "zstd", "zlib", "snappy", "deflate", "lz4"},
		KeepAlivesEnabled:     true,
	}
}

// Validate rejects what cannot work.
func (c *HTTPConfig) Validate() error {
	errs := []error{c.Auth.CheckServer(), CheckAddress("tcp", c.Endpoint)}
	for _, name := range c.CompressionAlgorithms {
		if name != "" && name != "x-snappy-framed" && !compression.Known(name) {
			errs = append(errs, component.At("compression_algorithms", fmt.Errorf("%q is not known: use %s, or \"\" for none", name, compression.Names)))
		}
	}
	return errors.Join(errs...)
}

// CORS is the block cors of a server of HTTP: which web pages may send.
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

// Warn reports a block without effect; path leads to it.
func (c *CORS) Warn(path string, o component.Options) {
	if c != nil && len(c.AllowedOrigins) == 0 {
		o.Warn(path, "without allowed_origins, no web page may send")
	}
}
