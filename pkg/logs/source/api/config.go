package api

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpserver"
	"collector/pkg/pipeline"
)

// defaultMessageSize is Alloy's default of max_send_message_size, and bounds what
// it does not apply to: JSON and plain text.
const defaultMessageSize = 100 * component.MiB

// Config is the configuration of loki.source.api.
type Config struct {
	ForwardTo               []pipeline.LogsSink    `alloy:"forward_to,attr"`
	Labels                  map[string]string      `alloy:"labels,attr,optional"`
	RelabelRules            *discovery.Rules       `alloy:"relabel_rules,attr,optional"`
	UseIncomingTimestamp    bool                   `alloy:"use_incoming_timestamp,attr,optional"`
	MaxSendMessageSize      component.Bytes        `alloy:"max_send_message_size,attr,optional"`
	GracefulShutdownTimeout time.Duration          `alloy:"graceful_shutdown_timeout,attr,optional"`
	HTTP                    httpserver.Config      `alloy:"http,block,optional"`
	GRPC                    *httpserver.GRPCConfig `alloy:"grpc,block,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() {
	*c = Config{HTTP: httpserver.Default(), GracefulShutdownTimeout: httpserver.DefaultShutdown, MaxSendMessageSize: defaultMessageSize}
}

// Validate reports settings that cannot work.
func (c *Config) Validate() error {
	for name := range c.Labels {
		if !model.LegacyValidation.IsValidLabelName(name) {
			return component.At("labels", fmt.Errorf("%q is not a valid label name: use letters, digits and _, and no digit at the start", name))
		}
	}
	return httpserver.ValidateShutdown(c.GracefulShutdownTimeout)
}

// messageSize is the most that a push in protobuf may have, packed or unpacked.
func (c *Config) messageSize() int64 {
	if c.MaxSendMessageSize <= 0 {
		return int64(defaultMessageSize)
	}
	return int64(c.MaxSendMessageSize)
}

// own are the configured labels, by name. One with an empty value removes that
// of a push.
func (c *Config) own() (out []labels.Label) {
	for name, value := range c.Labels {
		out = append(out, labels.Label{Name: name, Value: value})
	}
	slices.SortFunc(out, func(a, b labels.Label) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
