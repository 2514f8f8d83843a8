package profiles

import (
	"time"

	"collector/pkg/httpserver"
	"collector/pkg/pipeline"
)

// connLimit is Alloy's default of conn_limit.
const connLimit = 16384

// ReceiveConfig is the block pyroscope.receive_http.
type ReceiveConfig struct {
	ForwardTo               []pipeline.ProfilesSink `alloy:"forward_to,attr"`
	HTTP                    httpserver.Config       `alloy:"http,block,optional"`
	GRPC                    *httpserver.GRPCConfig  `alloy:"grpc,block,optional"`
	GracefulShutdownTimeout time.Duration           `alloy:"graceful_shutdown_timeout,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *ReceiveConfig) SetToDefault() {
	*c = ReceiveConfig{HTTP: httpserver.Default(), GracefulShutdownTimeout: httpserver.DefaultShutdown}
	c.HTTP.ConnLimit = connLimit
}

// Validate reports settings that cannot work.
func (c *ReceiveConfig) Validate() error {
	return httpserver.ValidateShutdown(c.GracefulShutdownTimeout)
}
