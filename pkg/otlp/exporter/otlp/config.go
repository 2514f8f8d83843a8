package otlp

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/balancer"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/otlp/auth"
	"collector/pkg/otlp/exporter"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/security"
)

// Config is the configuration of otelcol.exporter.otlp.
type Config struct {
	Timeout      time.Duration         `alloy:"timeout,attr,optional"`
	Client       Client                `alloy:"client,block"`
	Queue        exporter.SendingQueue `alloy:"sending_queue,block,optional"`
	Retry        exporter.Retry        `alloy:"retry_on_failure,block,optional"`
	DebugMetrics flow.DebugMetrics     `alloy:"debug_metrics,block,optional"`
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{Timeout: 5 * time.Second}
	c.Client.SetToDefault()
	c.Queue.SetToDefault()
	c.Retry.SetToDefault()
	c.DebugMetrics.SetToDefault()
}

// Validate rejects what cannot work.
func (c *Config) Validate() error {
	if c.Timeout < 0 {
		return component.At("timeout", errors.New("it cannot be negative"))
	}
	return nil
}

// Client is the client block of otelcol.exporter.otlp.
type Client struct {
	Endpoint string `alloy:"endpoint,attr"`
	Settings `alloy:",squash"`
}

// Settings are what a client block has but for the endpoint.
type Settings struct {
	Compression     string             `alloy:"compression,attr,optional"`
	ReadBufferSize  component.Bytes    `alloy:"read_buffer_size,attr,optional"`
	WriteBufferSize component.Bytes    `alloy:"write_buffer_size,attr,optional"`
	WaitForReady    bool               `alloy:"wait_for_ready,attr,optional"`
	Headers         map[string]string  `alloy:"headers,attr,optional"`
	BalancerName    string             `alloy:"balancer_name,attr,optional"`
	Authority       string             `alloy:"authority,attr,optional"`
	Auth            *auth.Handler      `alloy:"auth,attr,optional"`
	TLS             security.TLSClient `alloy:"tls,block,optional"`
	Keepalive       *Keepalive         `alloy:"keepalive,block,optional"`
}

// SetToDefault sets the defaults. The write buffer is 32 KiB, not Alloy's
// 512 KiB, which makes no request faster.
func (c *Settings) SetToDefault() {
	*c = Settings{
		Compression:     "gzip",
		WriteBufferSize: 32 * component.KiB,
		BalancerName:    "round_robin",
		Headers:         map[string]string{},
	}
}

// Validate rejects what cannot work.
func (c *Settings) Validate() error {
	errs := []error{c.Auth.CheckClient()}
	switch c.Compression {
	case "", "none", "gzip", "zlib", "deflate", "snappy", "zstd":
	default:
		errs = append(errs, component.At("compression", fmt.Errorf("%q is not known: use gzip, zlib, deflate, snappy, zstd or none", c.Compression)))
	}
	if c.BalancerName != "" && balancer.Get(c.BalancerName) == nil {
		errs = append(errs, component.At("balancer_name", fmt.Errorf("%q is not known: use round_robin or pick_first", c.BalancerName)))
	}
	for name := range c.Headers {
		if namesAuthority(name) {
			continue
		}
		if !headerName.MatchString(strings.ToLower(name)) || strings.HasPrefix(strings.ToLower(name), "grpc-") {
			errs = append(errs, component.At("headers", fmt.Errorf("%q is not a name that gRPC can send", name)))
		}
	}
	return errors.Join(errs...)
}

// namesAuthority reports whether a header names the requested host: gRPC has a field of
// its own for it, and would send such a header beside it.
func namesAuthority(header string) bool {
	return strings.EqualFold(header, "Host") || header == ":authority"
}

// authority is the requested host; "" for the endpoint's own.
func (c *Client) authority() string {
	if c.Authority != "" {
		return c.Authority
	}
	for name, value := range c.Headers {
		if namesAuthority(name) {
			return value
		}
	}
	return ""
}

// headerName is what gRPC takes as the name of metadata.
var headerName = regexp.MustCompile(`^[a-z0-9._-]+$`)

// scheme of a target as the gRPC library has it, with the slashes that lead
// to an authority.
var grpcScheme = regexp.MustCompile(`^(dns|passthrough):(//[^/]*/)?`)

// target is the endpoint as the gRPC library has it. http:// and https:// are removed;
// dialOptions knows that https:// means TLS.
func (c *Client) target() string {
	return strings.TrimPrefix(strings.TrimPrefix(c.Endpoint, "http://"), "https://")
}

// off says why nothing can be sent to the endpoint, as httpclient.Off does of a
// URL, or "" when something can.
func (c *Client) off() string {
	target := c.target()
	switch {
	case target == "" || target == ":":
		return httpclient.Off("")
	case strings.HasPrefix(target, "unix:") || strings.HasPrefix(target, "unix-abstract:"):
		return ""
	}
	host, port, err := c.hostPort()
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || strings.ContainsAny(host, "/<>{}$ ") {
		return "it is not the address of a gRPC server: write HOST:PORT without a path, such as \"tempo:4317\""
	}
	return ""
}

// grpcPort is the library's, where an address has none.
const grpcPort = "443"

func (c *Client) hostPort() (host, port string, err error) {
	address := grpcScheme.ReplaceAllString(c.target(), "")
	if host, port, err = net.SplitHostPort(address); err == nil {
		return host, port, nil
	}
	if host, _, alone := net.SplitHostPort(address + ":"); alone == nil {
		return host, grpcPort, nil
	}
	return "", "", err
}

// Keepalive is the client > keepalive block.
type Keepalive struct {
	PingWait            time.Duration `alloy:"ping_wait,attr,optional"`
	PingResponseTimeout time.Duration `alloy:"ping_response_timeout,attr,optional"`
	PingWithoutStream   bool          `alloy:"ping_without_stream,attr,optional"`
}
