package otlphttp

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/otlp/auth"
	"collector/pkg/otlp/compression"
	"collector/pkg/otlp/exporter"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/security"
	"collector/pkg/pipeline"
)

// Config is the configuration of otelcol.exporter.otlphttp.
type Config struct {
	Client          Client                `alloy:"client,block"`
	Queue           exporter.SendingQueue `alloy:"sending_queue,block,optional"`
	Retry           exporter.Retry        `alloy:"retry_on_failure,block,optional"`
	DebugMetrics    flow.DebugMetrics     `alloy:"debug_metrics,block,optional"`
	TracesEndpoint  string                `alloy:"traces_endpoint,attr,optional"`
	MetricsEndpoint string                `alloy:"metrics_endpoint,attr,optional"`
	LogsEndpoint    string                `alloy:"logs_endpoint,attr,optional"`
	Encoding        string                `alloy:"encoding,attr,optional"`
}

// The encodings of otelcol.exporter.otlphttp.
const (
	encodingProto = "proto"
	encodingJSON  = "json"
)

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{Encoding: encodingProto}
	c.Client.SetToDefault()
	c.Queue.SetToDefault()
	c.Retry.SetToDefault()
	c.DebugMetrics.SetToDefault()
}

// Validate rejects what cannot work.
func (c *Config) Validate() error {
	var errs []error
	if c.Encoding != encodingProto && c.Encoding != encodingJSON {
		errs = append(errs, component.At("encoding", fmt.Errorf("%q is not known: use %q or %q", c.Encoding, encodingProto, encodingJSON)))
	}
	for _, e := range []struct{ name, url string }{
		{"client/endpoint", c.Client.Endpoint}, {"traces_endpoint", c.TracesEndpoint},
		{"metrics_endpoint", c.MetricsEndpoint}, {"logs_endpoint", c.LogsEndpoint},
	} {
		if _, err := url.Parse(e.url); err != nil { // whose text holds the URL, and with it perhaps a password
			errs = append(errs, component.At(e.name, errors.New("it is not a valid URL; for example: \"http://tempo:4318\"")))
		}
	}
	return errors.Join(errs...)
}

// own is the argument with the endpoint of one signal, and its value.
func (c *Config) own(s pipeline.Signal) (argument, endpoint string) {
	return string(s) + "_endpoint", map[pipeline.Signal]string{
		pipeline.SignalTraces: c.TracesEndpoint, pipeline.SignalMetrics: c.MetricsEndpoint, pipeline.SignalLogs: c.LogsEndpoint,
	}[s]
}

// off says why nothing can be sent to the endpoint of a signal, and which argument that
// is. A signal that has no endpoint although another has one is not switched off: its
// requests are refused.
func (c *Config) off(s pipeline.Signal) (argument, why string) {
	if name, own := c.own(s); own != "" {
		return name, httpclient.Off(own)
	}
	if c.Client.Endpoint == "" && slices.ContainsFunc([]string{c.TracesEndpoint, c.MetricsEndpoint, c.LogsEndpoint}, func(own string) bool {
		return httpclient.Off(own) == ""
	}) {
		return "", ""
	}
	return "client/endpoint", httpclient.Off(c.Client.Endpoint)
}

// endpoint is where requests of the signal go; "" when there is no such place.
func (c *Config) endpoint(s pipeline.Signal) string {
	_, own := c.own(s)
	switch _, why := c.off(s); {
	case why != "":
		return ""
	case own != "":
		return own
	case c.Client.Endpoint == "":
		return ""
	}
	return strings.TrimSuffix(c.Client.Endpoint, "/") + "/v1/" + string(s)
}

// Client is the client block of otelcol.exporter.otlphttp.
type Client struct {
	Endpoint             string             `alloy:"endpoint,attr"`
	ProxyURL             string             `alloy:"proxy_url,attr,optional"`
	Compression          string             `alloy:"compression,attr,optional"`
	ReadBufferSize       component.Bytes    `alloy:"read_buffer_size,attr,optional"`
	WriteBufferSize      component.Bytes    `alloy:"write_buffer_size,attr,optional"`
	Timeout              time.Duration      `alloy:"timeout,attr,optional"`
	Headers              map[string]string  `alloy:"headers,attr,optional"`
	MaxIdleConns         int                `alloy:"max_idle_conns,attr,optional"`
	MaxIdleConnsPerHost  int                `alloy:"max_idle_conns_per_host,attr,optional"`
	MaxConnsPerHost      int                `alloy:"max_conns_per_host,attr,optional"`
	IdleConnTimeout      time.Duration      `alloy:"idle_conn_timeout,attr,optional"`
	DisableKeepAlives    bool               `alloy:"disable_keep_alives,attr,optional"`
	HTTP2ReadIdleTimeout time.Duration      `alloy:"http2_read_idle_timeout,attr,optional"`
	HTTP2PingTimeout     time.Duration      `alloy:"http2_ping_timeout,attr,optional"`
	ForceAttemptHTTP2    bool               `alloy:"force_attempt_http2,attr,optional"`
	Auth                 *auth.Handler      `alloy:"auth,attr,optional"`
	TLS                  security.TLSClient `alloy:"tls,block,optional"`
	CompressionParams    *CompressionParams `alloy:"compression_params,block,optional"`
	Cookies              *Cookies           `alloy:"cookies,block,optional"`
}

// CompressionParams is the client > compression_params block.
type CompressionParams struct {
	Level int `alloy:"level,attr"`
}

// Cookies is the client > cookies block.
type Cookies struct {
	Enabled bool `alloy:"enabled,attr,optional"`
}

// SetToDefault sets the defaults. The write buffer is 32 KiB, not Alloy's
// 512 KiB, which each connection would allocate.
func (c *Client) SetToDefault() {
	*c = Client{
		Compression:       "gzip",
		WriteBufferSize:   32 * component.KiB,
		Timeout:           30 * time.Second,
		Headers:           map[string]string{},
		MaxIdleConns:      100,
		IdleConnTimeout:   90 * time.Second,
		HTTP2PingTimeout:  15 * time.Second,
		ForceAttemptHTTP2: true,
	}
}

// Validate rejects what cannot work.
func (c *Client) Validate() error {
	errs := []error{c.Auth.CheckClient()}
	compressed := c.Compression != "" && c.Compression != "none"
	if compressed && !compression.Known(c.Compression) {
		errs = append(errs, component.At("compression", fmt.Errorf("%q is not known: use %s or none", c.Compression, compression.Names)))
	} else if p := c.CompressionParams; p != nil && compressed {
		if err := compression.CheckLevel(c.Compression, p.Level); err != nil {
			errs = append(errs, component.At("compression_params/level", err))
		}
	}
	if c.ProxyURL != "" {
		if u, err := url.Parse(c.ProxyURL); err != nil || u.Host == "" {
			errs = append(errs, component.At("proxy_url", fmt.Errorf("%q is not a valid URL", c.ProxyURL)))
		}
	}
	if c.Timeout < 0 {
		errs = append(errs, component.At("timeout", errors.New("it cannot be negative")))
	}
	return errors.Join(errs...)
}
