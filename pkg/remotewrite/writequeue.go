package remotewrite

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	_ "embed"

	"github.com/prometheus/common/model"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
)

// WriteQueue is the block prometheus.write.queue: another form of
// prometheus.remote_write, into which it is converted.
type WriteQueue struct {
	// TTL drops samples that are older when they are about to be sent; 0 drops none.
	TTL         time.Duration   `alloy:"ttl,attr,optional"`
	Persistence Persistence     `alloy:"persistence,block,optional"`
	Endpoints   []QueueEndpoint `alloy:"endpoint,block"`
}

// Persistence has no effect: samples are in the queue on disk when their source gets its
// acknowledgment.
type Persistence struct {
	MaxSignalsToBatch int           `alloy:"max_signals_to_batch,attr,optional"`
	BatchInterval     time.Duration `alloy:"batch_interval,attr,optional"`
}

// QueueEndpoint is one destination.
type QueueEndpoint struct {
	Name                 string                      `alloy:",label"`
	URL                  string                      `alloy:"url,attr"`
	BasicAuth            *QueueBasicAuth             `alloy:"basic_auth,block,optional"`
	BearerToken          component.Secret            `alloy:"bearer_token,attr,optional"`
	WriteTimeout         time.Duration               `alloy:"write_timeout,attr,optional"`
	RetryBackoff         time.Duration               `alloy:"retry_backoff,attr,optional"`
	MaxRetryAttempts     uint                        `alloy:"max_retry_attempts,attr,optional"`
	BatchCount           int                         `alloy:"batch_count,attr,optional"`
	FlushInterval        time.Duration               `alloy:"flush_interval,attr,optional"`
	Parallelism          Parallelism                 `alloy:"parallelism,block,optional"`
	ExternalLabels       map[string]string           `alloy:"external_labels,attr,optional"`
	TLS                  *QueueTLS                   `alloy:"tls_config,block,optional"`
	RoundRobin           bool                        `alloy:"enable_round_robin,attr,optional"`
	Headers              map[string]component.Secret `alloy:"headers,attr,optional"`
	ProxyURL             string                      `alloy:"proxy_url,attr,optional"`
	ProxyFromEnvironment bool                        `alloy:"proxy_from_environment,attr,optional"`
	ProxyConnectHeaders  map[string]component.Secret `alloy:"proxy_connect_headers,attr,optional"`
	ProtobufMessage      string                      `alloy:"protobuf_message,attr,optional"`
	MetadataCacheEnabled bool                        `alloy:"metadata_cache_enabled,attr,optional"`
	MetadataCacheSize    int                         `alloy:"metadata_cache_size,attr,optional"`
}

// QueueBasicAuth is HTTP basic authentication.
type QueueBasicAuth struct {
	Username string           `alloy:"username,attr,optional"`
	Password component.Secret `alloy:"password,attr,optional"`
}

// QueueTLS is the client side of TLS.
type QueueTLS struct {
	CA                 string           `alloy:"ca_pem,attr,optional"`
	Cert               string           `alloy:"cert_pem,attr,optional"`
	Key                component.Secret `alloy:"key_pem,attr,optional"`
	InsecureSkipVerify bool             `alloy:"insecure_skip_verify,attr,optional"`
}

// Parallelism has no effect: one request at a time keeps the order of each series.
type Parallelism struct {
	DriftScaleUp                time.Duration `alloy:"drift_scale_up,attr,optional"`
	DriftScaleDown              time.Duration `alloy:"drift_scale_down,attr,optional"`
	MaxConnections              uint          `alloy:"max_connections,attr,optional"`
	MinConnections              uint          `alloy:"min_connections,attr,optional"`
	NetworkFlushInterval        time.Duration `alloy:"network_flush_interval,attr,optional"`
	DesiredConnectionsLookback  time.Duration `alloy:"desired_connections_lookback,attr,optional"`
	DesiredCheckInterval        time.Duration `alloy:"desired_check_interval,attr,optional"`
	AllowedNetworkErrorFraction float64       `alloy:"allowed_network_error_fraction,attr,optional"`
}

//go:embed prometheus.write.queue.md
var queuePage string

func queueDefinition() component.Definition {
	return component.Define("prometheus.write.queue", NewWriteQueue, component.Doc{Page: queuePage, Exports: []component.Export{{Name: "receiver", Type: "MetricsReceiver"}}})
}

// NewWriteQueue checks cfg and makes the component.
func NewWriteQueue(cfg WriteQueue, o component.Options) (*Component, error) {
	o = o.WithDefaults()
	cfg.warn(o.Warn)
	made, err := cfg.remoteWrite()
	if err != nil {
		return nil, err
	}
	return New(made, o)
}

// SetToDefault sets Alloy's defaults.
func (w *WriteQueue) SetToDefault() {
	*w = WriteQueue{TTL: 2 * time.Hour, Persistence: Persistence{MaxSignalsToBatch: 10_000, BatchInterval: 5 * time.Second}}
}

// SetToDefault sets Alloy's defaults.
func (e *QueueEndpoint) SetToDefault() {
	*e = QueueEndpoint{
		WriteTimeout: 30 * time.Second, RetryBackoff: time.Second, BatchCount: 1000, FlushInterval: time.Second,
		MetadataCacheSize: 1000, ProtobufMessage: messageV1,
	}
	e.Parallelism.SetToDefault()
}

// SetToDefault sets Alloy's defaults.
func (p *Parallelism) SetToDefault() {
	*p = Parallelism{
		DriftScaleUp: time.Minute, DriftScaleDown: 30 * time.Second, MaxConnections: 50, MinConnections: 2,
		NetworkFlushInterval: time.Minute, DesiredConnectionsLookback: 5 * time.Minute,
		DesiredCheckInterval: 5 * time.Second, AllowedNetworkErrorFraction: 0.5,
	}
}

// Validate reports what cannot work.
func (w *WriteQueue) Validate() error {
	var errs []error
	if w.TTL < 0 {
		errs = append(errs, component.At("ttl", fmt.Errorf("%s is negative", w.TTL)))
	}
	names := map[string]bool{}
	for i := range w.Endpoints {
		if name := w.Endpoints[i].Name; names[name] {
			errs = append(errs, component.At(component.Block("endpoint", i), fmt.Errorf("another endpoint is named %q: names must be unique", name)))
		} else {
			names[name] = true
		}
	}
	return errors.Join(errs...)
}

// Validate reports what cannot work, and what Alloy reports.
func (e *QueueEndpoint) Validate() error {
	var errs []error
	bad := func(argument, format string, args ...any) {
		errs = append(errs, component.At(argument, fmt.Errorf(format, args...)))
	}
	if err := validateURL(e.URL); err != nil {
		errs = append(errs, err)
	}
	if e.WriteTimeout <= 0 {
		bad("write_timeout", "it must be above 0")
	}
	if e.RetryBackoff < 0 {
		bad("retry_backoff", "it must not be negative")
	}
	if e.BatchCount <= 0 {
		bad("batch_count", "it must be above 0")
	}
	if e.FlushInterval < time.Second {
		bad("flush_interval", "it must be at least 1s")
	}
	if err := validateMessage(e.ProtobufMessage); err != nil {
		errs = append(errs, err)
	}
	for name := range e.Headers {
		if !validHeaderName(name) {
			bad("headers", "%q is not a header name", name)
		}
	}
	for name, value := range e.ExternalLabels {
		if !model.UTF8Validation.IsValidLabelName(name) || !model.LabelValue(value).IsValid() {
			bad("external_labels", "%q is not a label: name and value must be valid UTF-8, and the name not empty", name)
		}
	}
	client := e.client()
	errs = append(errs, client.Validate())
	if client.TLS != nil {
		errs = append(errs, component.At("tls_config", client.TLS.Validate()))
	}
	return errors.Join(errs...)
}

// Validate reports what Alloy reports.
func (p *Parallelism) Validate() error {
	switch {
	case p.MaxConnections < p.MinConnections:
		return component.At("max_connections", errors.New("it must not be less than min_connections"))
	case p.MinConnections == 0:
		return component.At("min_connections", errors.New("it must be above 0"))
	case p.DriftScaleUp <= p.DriftScaleDown:
		return component.At("drift_scale_up", errors.New("it must be longer than drift_scale_down"))
	case p.DesiredCheckInterval < time.Second:
		return component.At("desired_check_interval", errors.New("it must be at least 1s"))
	case p.AllowedNetworkErrorFraction < 0 || p.AllowedNetworkErrorFraction > 1:
		return component.At("allowed_network_error_fraction", errors.New("it must be between 0 and 1"))
	}
	return nil
}

// client is how an endpoint is reached.
func (e *QueueEndpoint) client() httpclient.Config {
	c := httpclient.Default()
	c.EnableHTTP2 = false
	c.BearerToken, c.ProxyURL, c.ProxyFromEnvironment = e.BearerToken, e.ProxyURL, e.ProxyFromEnvironment
	if a := e.BasicAuth; a != nil {
		c.BasicAuth = &httpclient.BasicAuth{Username: a.Username, Password: a.Password}
	}
	if t := e.TLS; t != nil {
		c.TLS = &httpclient.TLS{CA: t.CA, Cert: t.Cert, Key: t.Key, InsecureSkipVerify: t.InsecureSkipVerify}
	}
	for name, value := range e.ProxyConnectHeaders {
		if c.ProxyConnectHeader == nil {
			c.ProxyConnectHeader = make(map[string][]component.Secret)
		}
		c.ProxyConnectHeader[name] = []component.Secret{value}
	}
	return c
}

// remoteWrite is the same as a prometheus.remote_write. What all endpoints add to the
// labels is added once; otherwise each has rules that add it.
func (w *WriteQueue) remoteWrite() (Config, error) {
	var c Config
	c.SetToDefault()
	shared := true
	for i := range w.Endpoints {
		shared = shared && maps.Equal(w.Endpoints[i].ExternalLabels, w.Endpoints[0].ExternalLabels)
	}
	if shared && len(w.Endpoints) > 0 {
		c.ExternalLabels = w.Endpoints[0].ExternalLabels
	}
	var defaults QueueEndpoint
	defaults.SetToDefault()
	for i := range w.Endpoints {
		from := &w.Endpoints[i]
		var e Endpoint
		e.SetToDefault()
		e.Name, e.URL, e.RemoteTimeout, e.Client = from.Name, from.URL, from.WriteTimeout, from.client()
		e.SendNativeHistograms, e.ProtobufMessage = true, from.ProtobufMessage
		for name, value := range from.Headers {
			if e.Headers == nil {
				e.Headers = make(map[string]string)
			}
			e.Headers[name] = string(value)
		}
		e.Queue.MinBackoff, e.Queue.MaxBackoff = from.RetryBackoff, from.RetryBackoff
		e.Queue.SampleAgeLimit, e.Queue.wait = w.TTL, from.FlushInterval
		if from.BatchCount != defaults.BatchCount {
			e.Queue.items = from.BatchCount
		}
		if !shared {
			if err := validateOwn(from.ExternalLabels); err != nil {
				return c, component.At(component.Block("endpoint", i)+"/external_labels", err)
			}
			e.WriteRelabel = adding(from.ExternalLabels)
		}
		if err := e.Validate(); err != nil {
			return c, component.At(component.Block("endpoint", i), err)
		}
		c.Endpoints = append(c.Endpoints, e)
	}
	return c, nil
}

// validateOwn reports labels that no rule can add.
func validateOwn(external map[string]string) error {
	for name := range external {
		if !model.LegacyValidation.IsValidLabelName(name) {
			return fmt.Errorf("%q must have letters, digits and _ only where endpoints have different labels", name)
		}
	}
	return nil
}

// adding are rules that add labels to series that lack them.
func adding(external map[string]string) (rules []discovery.Rule) {
	for _, name := range slices.Sorted(maps.Keys(external)) {
		var r discovery.Rule
		r.SetToDefault()
		r.SourceLabels, r.Regex, r.TargetLabel = []string{name}, "", name
		r.Replacement = strings.ReplaceAll(external[name], "$", "$$")
		rules = append(rules, r)
	}
	return rules
}

// warn reports every setting that has no effect here.
func (w *WriteQueue) warn(report func(path, why string)) {
	var defaults WriteQueue
	defaults.SetToDefault()
	const always = "samples are in the queue on disk as soon as they are accepted"
	if w.Persistence.MaxSignalsToBatch != defaults.Persistence.MaxSignalsToBatch {
		report("persistence/max_signals_to_batch", always)
	}
	if w.Persistence.BatchInterval != defaults.Persistence.BatchInterval {
		report("persistence/batch_interval", always)
	}
	for i := range w.Endpoints {
		w.Endpoints[i].warn(component.Block("endpoint", i), report)
	}
}

func (e *QueueEndpoint) warn(at string, report func(path, why string)) {
	var defaults QueueEndpoint
	defaults.SetToDefault()
	if e.MaxRetryAttempts != 0 {
		report(at+"/max_retry_attempts", "samples are retried for as long as the queue holds them, and ttl allows")
	}
	if e.Parallelism != defaults.Parallelism {
		report(at+"/parallelism", "requests go out one at a time, which keeps the samples of each series in order")
	}
	if e.RoundRobin {
		report(at+"/enable_round_robin", "requests go out one at a time, over a connection that stays open")
	}
	if e.MetadataCacheEnabled || e.MetadataCacheSize != defaults.MetadataCacheSize {
		report(at+"/metadata_cache_enabled", "metadata is sent once a minute for each family")
	}
}
