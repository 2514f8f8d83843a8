package faro

import (
	"errors"
	"fmt"
	"time"

	"collector/pkg/component"
	"collector/pkg/pipeline"
)

// The values of log_format and of strategy.
const (
	formatLogfmt = "logfmt"
	formatJSON   = "json"

	strategyGlobal = "global"
	strategyPerApp = "per_app"
)

// Config is the configuration of faro.receiver.
type Config struct {
	LogLabels  map[string]string `alloy:"extra_log_labels,attr,optional"`
	LogFormat  string            `alloy:"log_format,attr,optional"`
	Server     ServerConfig      `alloy:"server,block,optional"`
	SourceMaps SourceMapsConfig  `alloy:"sourcemaps,block,optional"`
	Output     OutputConfig      `alloy:"output,block"`
}

// ServerConfig is the block server.
type ServerConfig struct {
	ListenAddress         string           `alloy:"listen_address,attr,optional"`
	ListenPort            int              `alloy:"listen_port,attr,optional"`
	CORSAllowedOrigins    []string         `alloy:"cors_allowed_origins,attr,optional"`
	APIKey                component.Secret `alloy:"api_key,attr,optional"`
	MaxAllowedPayloadSize component.Bytes  `alloy:"max_allowed_payload_size,attr,optional"`
	RateLimiting          RateConfig       `alloy:"rate_limiting,block,optional"`
	IncludeMetadata       bool             `alloy:"include_metadata,attr,optional"`
}

// RateConfig is the block rate_limiting.
type RateConfig struct {
	Enabled   bool    `alloy:"enabled,attr,optional"`
	Strategy  string  `alloy:"strategy,attr,optional"`
	Rate      float64 `alloy:"rate,attr,optional"`
	BurstSize float64 `alloy:"burst_size,attr,optional"`
}

// SourceMapsConfig is the block sourcemaps.
type SourceMapsConfig struct {
	Download            bool             `alloy:"download,attr,optional"`
	DownloadFromOrigins []string         `alloy:"download_from_origins,attr,optional"`
	DownloadTimeout     time.Duration    `alloy:"download_timeout,attr,optional"`
	Locations           []LocationConfig `alloy:"location,block,optional"`
}

// LocationConfig is a block location: where the source maps of files are whose URL
// begins with a prefix.
type LocationConfig struct {
	Path               string `alloy:"path,attr"`
	MinifiedPathPrefix string `alloy:"minified_path_prefix,attr"`
}

// OutputConfig is the block output.
type OutputConfig struct {
	Logs   []pipeline.LogsSink `alloy:"logs,attr,optional"`
	Traces []pipeline.OTLPSink `alloy:"traces,attr,optional"`
}

// SetToDefault sets Alloy's defaults, but for download: the URL of a script is what
// a page says it is.
func (c *Config) SetToDefault() {
	*c = Config{LogFormat: formatLogfmt}
	c.Server.SetToDefault()
	c.SourceMaps.SetToDefault()
}

// SetToDefault sets Alloy's defaults.
func (c *ServerConfig) SetToDefault() {
	*c = ServerConfig{ListenAddress: "127.0.0.1", ListenPort: 12347, MaxAllowedPayloadSize: 5 * component.MiB}
	c.RateLimiting.SetToDefault()
}

// SetToDefault sets Alloy's defaults.
func (c *RateConfig) SetToDefault() {
	*c = RateConfig{Enabled: true, Strategy: strategyGlobal, Rate: 50, BurstSize: 100}
}

// SetToDefault sets the defaults.
func (c *SourceMapsConfig) SetToDefault() {
	*c = SourceMapsConfig{DownloadFromOrigins: []string{"*"}, DownloadTimeout: time.Second}
}

// Validate reports settings that cannot work.
func (c *Config) Validate() error {
	switch c.LogFormat {
	case "", formatLogfmt, formatJSON:
		return nil
	}
	return component.At("log_format", fmt.Errorf("%q is not a log format: use logfmt or json", c.LogFormat))
}

// Validate reports settings that cannot work.
func (c *ServerConfig) Validate() error {
	if c.ListenPort < 0 || c.ListenPort > 65535 {
		return component.At("listen_port", fmt.Errorf("%d is not a port: it must be between 0 and 65535", c.ListenPort))
	}
	return nil
}

// Validate reports settings that cannot work.
func (c *RateConfig) Validate() error {
	switch c.Strategy {
	case "", strategyGlobal, strategyPerApp:
		return nil
	}
	return component.At("strategy", fmt.Errorf("%q is not a strategy: use global or per_app", c.Strategy))
}

// Validate reports settings that cannot work.
func (c *SourceMapsConfig) Validate() error {
	if c.DownloadTimeout < 0 {
		return component.At("download_timeout", fmt.Errorf("%s is negative: it must be positive, or 0 for no limit of its own", c.DownloadTimeout))
	}
	return nil
}

// Validate reports settings that cannot work.
func (c *LocationConfig) Validate() error {
	_, err := newLocation(*c)
	return component.At("path", err)
}

// warn reports dangerous settings.
func (c *SourceMapsConfig) warn(o component.Options) {
	if c.Download {
		o.Warn("sourcemaps/download", "a page that sends an exception chooses which URL the collector requests, also of hosts that only the collector can reach: "+
			"list the origins of your scripts in download_from_origins, or use location blocks")
	}
}

var errPathTemplate = errors.New(`it is not a valid template; for example: "/var/maps/{{ .Release }}"`)
