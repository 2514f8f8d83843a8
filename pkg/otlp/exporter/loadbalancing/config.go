package loadbalancing

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"collector/pkg/component"
	"collector/pkg/otlp/exporter"
	"collector/pkg/otlp/exporter/otlp"
	"collector/pkg/otlp/flow"
)

// Config is the configuration of otelcol.exporter.loadbalancing.
type Config struct {
	Protocol     Protocol               `alloy:"protocol,block"`
	Resolver     Resolver               `alloy:"resolver,block"`
	RoutingKey   string                 `alloy:"routing_key,attr,optional"`
	Timeout      time.Duration          `alloy:"timeout,attr,optional"` // without effect, as the two below
	Retry        *exporter.Retry        `alloy:"retry_on_failure,block,optional"`
	Queue        *exporter.SendingQueue `alloy:"sending_queue,block,optional"`
	DebugMetrics flow.DebugMetrics      `alloy:"debug_metrics,block,optional"`
}

// Protocol is the block protocol.
type Protocol struct {
	OTLP OTLP `alloy:"otlp,block"`
}

// OTLP is the block protocol > otlp: how each endpoint is sent to.
type OTLP struct {
	Timeout time.Duration         `alloy:"timeout,attr,optional"`
	Queue   exporter.SendingQueue `alloy:"queue,block,optional"`
	Retry   exporter.Retry        `alloy:"retry,block,optional"`
	Client  otlp.Settings         `alloy:"client,block"`
}

// Resolver is the block resolver.
type Resolver struct {
	Static     *Static     `alloy:"static,block,optional"`
	DNS        *DNS        `alloy:"dns,block,optional"`
	Kubernetes *Kubernetes `alloy:"kubernetes,block,optional"`
	CloudMap   *CloudMap   `alloy:"aws_cloud_map,block,optional"`
}

// Static is the block static.
type Static struct {
	Hostnames []string `alloy:"hostnames,attr"`
}

// DNS is the block dns.
type DNS struct {
	Hostname string        `alloy:"hostname,attr"`
	Port     string        `alloy:"port,attr,optional"`
	Interval time.Duration `alloy:"interval,attr,optional"`
	Timeout  time.Duration `alloy:"timeout,attr,optional"`
}

// Kubernetes is the block kubernetes, which is rejected.
type Kubernetes struct {
	Service         string        `alloy:"service,attr"`
	Ports           []int32       `alloy:"ports,attr,optional"`
	Timeout         time.Duration `alloy:"timeout,attr,optional"`
	ReturnHostnames bool          `alloy:"return_hostnames,attr,optional"`
}

// CloudMap is the block aws_cloud_map, which is rejected.
type CloudMap struct {
	Namespace    string        `alloy:"namespace,attr"`
	ServiceName  string        `alloy:"service_name,attr"`
	HealthStatus string        `alloy:"health_status,attr,optional"`
	Interval     time.Duration `alloy:"interval,attr,optional"`
	Timeout      time.Duration `alloy:"timeout,attr,optional"`
	Port         *uint16       `alloy:"port,attr,optional"`
}

// defaultPort is the port of an endpoint that names none.
const defaultPort = "4317"

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{RoutingKey: "traceID"}
	c.DebugMetrics.SetToDefault()
	c.Protocol.OTLP.SetToDefault()
}

// SetToDefault sets the defaults.
func (c *OTLP) SetToDefault() {
	*c = OTLP{Timeout: 5 * time.Second}
	c.Queue.SetToDefault()
	c.Retry.SetToDefault()
	c.Client.SetToDefault()
}

// SetToDefault sets the defaults.
func (d *DNS) SetToDefault() {
	*d = DNS{Port: defaultPort, Interval: 5 * time.Second, Timeout: time.Second}
}

// SetToDefault sets the defaults.
func (k *Kubernetes) SetToDefault() { *k = Kubernetes{Ports: []int32{4317}, Timeout: time.Second} }

// SetToDefault sets the defaults.
func (m *CloudMap) SetToDefault() {
	*m = CloudMap{HealthStatus: "HEALTHY", Interval: 30 * time.Second, Timeout: 5 * time.Second}
}

// Validate rejects what cannot work.
func (c *Config) Validate() error {
	var errs []error
	switch c.RoutingKey {
	case "traceID", "service", "resource", "metric", "streamID":
	default:
		errs = append(errs, component.At("routing_key", fmt.Errorf("%q is not known: use traceID, service, resource, metric or streamID", c.RoutingKey)))
	}
	if c.Protocol.OTLP.Timeout < 0 {
		errs = append(errs, component.At("protocol/otlp/timeout", errors.New("it cannot be negative")))
	}
	return errors.Join(errs...)
}

// Validate rejects what cannot work.
func (r *Resolver) Validate() error {
	switch {
	case r.Kubernetes != nil:
		return component.At("kubernetes", errors.New("it is not supported: use dns with the name of a headless service"))
	case r.CloudMap != nil:
		return component.At("aws_cloud_map", errors.New("it is not supported: use dns, with the name that Cloud Map gives to the service"))
	case r.Static != nil && r.DNS != nil:
		return errors.New("it has more than one resolver: use static or dns")
	case r.Static == nil && r.DNS == nil:
		return errors.New("it has no resolver: use static or dns")
	}
	return nil
}

// Validate rejects what cannot work.
func (s *Static) Validate() error {
	if len(s.Hostnames) == 0 {
		return component.At("hostnames", errors.New("it is empty"))
	}
	for _, name := range s.Hostnames {
		if strings.Trim(name, ":") == "" {
			return component.At("hostnames", errors.New("a name is empty"))
		}
	}
	return nil
}

// Validate rejects what cannot work.
func (d *DNS) Validate() error {
	var errs []error
	if d.Hostname == "" {
		errs = append(errs, component.At("hostname", errors.New("it is empty")))
	}
	if d.Interval < 0 || d.Timeout < 0 {
		errs = append(errs, component.At("interval", errors.New("it and timeout cannot be negative")))
	}
	return errors.Join(errs...)
}

// warn warns of what has no effect.
func (c *Config) warn(o component.Options) {
	c.DebugMetrics.Warn(o)
	if c.Timeout != 0 {
		o.Warn("timeout", "requests are acknowledged when they are queued on disk; protocol > otlp > timeout bounds the sending")
	}
	if c.Retry != nil {
		o.Warn("retry_on_failure", "each endpoint has a queue of its own, whose requests are retried as protocol > otlp > retry says")
	}
	if c.Queue != nil {
		o.Warn("sending_queue", "each endpoint has a queue of its own, which protocol > otlp > queue configures")
	}
}

// otlp is the configuration of the exporter of an endpoint.
func (c *Config) otlp(endpoint string) otlp.Config {
	own := c.Protocol.OTLP
	return otlp.Config{Timeout: own.Timeout, Queue: own.Queue, Retry: own.Retry, Client: otlp.Client{Endpoint: endpoint, Settings: own.Client}}
}

// under is where the arguments of an exporter are in this component.
func under(path string) string {
	for from, to := range map[string]string{"sending_queue": "queue", "retry_on_failure": "retry"} {
		if rest, ok := strings.CutPrefix(path, from); ok {
			path = to + rest
		}
	}
	return "protocol/otlp/" + path
}

// withPort adds the default port to an endpoint that has none.
func withPort(endpoint string) string {
	if !strings.Contains(endpoint, ":") || strings.HasSuffix(endpoint, "]") {
		return endpoint + ":" + defaultPort
	}
	return endpoint
}
