package jaeger

import (
	"errors"
	"fmt"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/server"
)

// Config is the configuration of otelcol.receiver.jaeger.
type Config struct {
	Protocols    Protocols         `alloy:"protocols,block"`
	DebugMetrics flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
	Output       flow.Output       `alloy:"output,block"`
}

// SetToDefault sets the defaults: no protocol is served whose block is absent.
func (c *Config) SetToDefault() {
	*c = Config{}
	c.DebugMetrics.SetToDefault()
}

// Validate rejects a receiver of nothing.
func (c *Config) Validate() error {
	if c.Protocols == (Protocols{}) {
		return component.At("protocols", errors.New("nothing would be received: add grpc, thrift_http, thrift_binary or thrift_compact"))
	}
	return nil
}

// Protocols is the protocols block.
type Protocols struct {
	GRPC          *GRPC          `alloy:"grpc,block,optional"`
	ThriftHTTP    *ThriftHTTP    `alloy:"thrift_http,block,optional"`
	ThriftBinary  *ThriftBinary  `alloy:"thrift_binary,block,optional"`
	ThriftCompact *ThriftCompact `alloy:"thrift_compact,block,optional"`
}

// GRPC is the protocols > grpc block.
type GRPC struct {
	server.GRPCConfig `alloy:",squash"`
}

// SetToDefault sets the defaults.
func (c *GRPC) SetToDefault() { *c = GRPC{server.GRPCDefaults("0.0.0.0:14250")} }

// ThriftHTTP is the protocols > thrift_http block.
type ThriftHTTP struct {
	server.HTTPConfig `alloy:",squash"`
}

// SetToDefault sets the defaults.
func (c *ThriftHTTP) SetToDefault() { *c = ThriftHTTP{server.HTTPDefaults("0.0.0.0:14268")} }

// UDP are the arguments of a protocol by UDP.
type UDP struct {
	Endpoint         string          `alloy:"endpoint,attr,optional"`
	QueueSize        int             `alloy:"queue_size,attr,optional"` // datagrams
	MaxPacketSize    component.Bytes `alloy:"max_packet_size,attr,optional"`
	Workers          int             `alloy:"workers,attr,optional"`
	SocketBufferSize component.Bytes `alloy:"socket_buffer_size,attr,optional"`
}

func udpDefaults(endpoint string) UDP {
	return UDP{Endpoint: endpoint, QueueSize: 1000, MaxPacketSize: 65 * component.KiB, Workers: 10}
}

// Validate rejects what cannot work.
func (c *UDP) Validate() error {
	errs := []error{server.CheckAddress("udp", c.Endpoint)}
	if c.QueueSize <= 0 {
		errs = append(errs, component.At("queue_size", fmt.Errorf("%d is not positive: no datagram would be received", c.QueueSize)))
	}
	if c.Workers <= 0 {
		errs = append(errs, component.At("workers", fmt.Errorf("%d is not positive: no datagram would be received", c.Workers)))
	}
	if c.MaxPacketSize <= 0 {
		errs = append(errs, component.At("max_packet_size", fmt.Errorf("%s is not positive: no datagram would be received", c.MaxPacketSize)))
	}
	return errors.Join(errs...)
}

// ThriftBinary is the protocols > thrift_binary block.
type ThriftBinary struct {
	UDP `alloy:",squash"`
}

// SetToDefault sets the defaults.
func (c *ThriftBinary) SetToDefault() { *c = ThriftBinary{udpDefaults("0.0.0.0:6832")} }

// ThriftCompact is the protocols > thrift_compact block.
type ThriftCompact struct {
	UDP `alloy:",squash"`
}

// SetToDefault sets the defaults.
func (c *ThriftCompact) SetToDefault() { *c = ThriftCompact{udpDefaults("0.0.0.0:6831")} }
