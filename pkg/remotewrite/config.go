package remotewrite

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
)

// Config is the block prometheus.remote_write.
type Config struct {
	// ExternalLabels are added to each series that lacks them, before the
	// rules of write_relabel_config see it.
	ExternalLabels map[string]string `alloy:"external_labels,attr,optional"`
	Endpoints      []Endpoint        `alloy:"endpoint,block,optional"`
	WAL            WAL               `alloy:"wal,block,optional"`
}

// Endpoint is one destination.
type Endpoint struct {
	Name                 string            `alloy:"name,attr,optional"`
	URL                  string            `alloy:"url,attr"`
	RemoteTimeout        time.Duration     `alloy:"remote_timeout,attr,optional"`
	Headers              map[string]string `alloy:"headers,attr,optional"`
	SendExemplars        bool              `alloy:"send_exemplars,attr,optional"`
	SendNativeHistograms bool              `alloy:"send_native_histograms,attr,optional"`
	ProtobufMessage      string            `alloy:"protobuf_message,attr,optional"`
	Client               httpclient.Config `alloy:",squash"`
	Queue                QueueConfig       `alloy:"queue_config,block,optional"`
	Metadata             MetadataConfig    `alloy:"metadata_config,block,optional"`
	WriteRelabel         []discovery.Rule  `alloy:"write_relabel_config,block,optional"`
	SigV4                *SigV4            `alloy:"sigv4,block,optional"`
	AzureAD              *AzureAD          `alloy:"azuread,block,optional"`
}

// QueueConfig is how samples are gathered into requests and sent again.
type QueueConfig struct {
	// Capacity, MaxShards and MinShards have no effect: the queue is on disk,
	// and one request at a time keeps the order of each series.
	Capacity  int `alloy:"capacity,attr,optional"`
	MaxShards int `alloy:"max_shards,attr,optional"`
	MinShards int `alloy:"min_shards,attr,optional"`
	// MaxSamplesPerSend bounds a request. Its default means what costs least: up to
	// 10,000 samples and 1 MiB, compressed.
	MaxSamplesPerSend int `alloy:"max_samples_per_send,attr,optional"`
	// BatchSendDeadline is how long samples may be held back to fill a request. Its
	// default means half a second.
	BatchSendDeadline time.Duration `alloy:"batch_send_deadline,attr,optional"`
	MinBackoff        time.Duration `alloy:"min_backoff,attr,optional"`
	MaxBackoff        time.Duration `alloy:"max_backoff,attr,optional"`
	RetryOnHTTP429    bool          `alloy:"retry_on_http_429,attr,optional"`
	// SampleAgeLimit drops samples that are older when they are about to be
	// sent; 0 drops none.
	SampleAgeLimit time.Duration `alloy:"sample_age_limit,attr,optional"`

	// items and wait are the two limits where prometheus.write.queue sets them, whose
	// defaults are others; 0: it does not.
	items int
	wait  time.Duration
}

// MetadataConfig is how HELP, TYPE and UNIT of metric families are sent.
type MetadataConfig struct {
	Send bool `alloy:"send,attr,optional"`
	// SendInterval is how long a family that was sent is not sent again.
	SendInterval time.Duration `alloy:"send_interval,attr,optional"`
	// MaxSamplesPerSend bounds the families that go with one batch of samples.
	MaxSamplesPerSend int `alloy:"max_samples_per_send,attr,optional"`
}

// WAL is accepted for Alloy's sake: the queue takes the place of its log.
type WAL struct {
	TruncateFrequency time.Duration `alloy:"truncate_frequency,attr,optional"`
	MinKeepaliveTime  time.Duration `alloy:"min_keepalive_time,attr,optional"`
	MaxKeepaliveTime  time.Duration `alloy:"max_keepalive_time,attr,optional"`
}

// SigV4 signs requests as AWS Signature Version 4 has it, for Amazon's managed
// Prometheus.
type SigV4 struct {
	Region    string           `alloy:"region,attr,optional"`
	AccessKey string           `alloy:"access_key,attr,optional"`
	SecretKey component.Secret `alloy:"secret_key,attr,optional"`
	Profile   string           `alloy:"profile,attr,optional"`
	RoleARN   string           `alloy:"role_arn,attr,optional"`
}

const (
	messageV1 = "prometheus.WriteRequest"
	messageV2 = "io.prometheus.write.v2.Request"
)

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() {
	*c = Config{}
	c.WAL.SetToDefault()
}

// SetToDefault sets Alloy's defaults.
func (e *Endpoint) SetToDefault() {
	*e = Endpoint{
		RemoteTimeout:   30 * time.Second,
		SendExemplars:   true,
		ProtobufMessage: messageV1,
		Client:          httpclient.Default(),
	}
	e.Client.EnableHTTP2 = false
	e.Queue.SetToDefault()
	e.Metadata.SetToDefault()
}

// SetToDefault sets Alloy's defaults.
func (q *QueueConfig) SetToDefault() {
	*q = QueueConfig{
		Capacity: 10000, MaxShards: 50, MinShards: 1, MaxSamplesPerSend: 2000,
		BatchSendDeadline: 5 * time.Second,
		MinBackoff:        30 * time.Millisecond, MaxBackoff: 5 * time.Second,
		RetryOnHTTP429: true,
	}
}

// SetToDefault sets Alloy's defaults.
func (m *MetadataConfig) SetToDefault() {
	*m = MetadataConfig{Send: true, SendInterval: time.Minute, MaxSamplesPerSend: 2000}
}

// SetToDefault sets Alloy's defaults.
func (w *WAL) SetToDefault() {
	*w = WAL{TruncateFrequency: 2 * time.Hour, MinKeepaliveTime: 5 * time.Minute, MaxKeepaliveTime: 8 * time.Hour}
}

// Validate reports what cannot work.
func (c *Config) Validate() error {
	var errs []error
	for name, value := range c.ExternalLabels {
		if !model.UTF8Validation.IsValidLabelName(name) {
			errs = append(errs, component.At("external_labels", fmt.Errorf("%q is not a label name: it must be valid UTF-8 and not empty", name)))
		}
		if !model.LabelValue(value).IsValid() {
			errs = append(errs, component.At("external_labels", fmt.Errorf("the value of %q is not valid UTF-8", name)))
		}
	}
	names := make(map[string]bool)
	for i := range c.Endpoints {
		name := c.Endpoints[i].Name
		if name != "" && names[name] {
			errs = append(errs, component.At(component.Block("endpoint", i)+"/name", fmt.Errorf("another endpoint is named %q: names must be unique", name)))
		}
		names[name] = true
	}
	return errors.Join(errs...)
}

// Validate reports what cannot work.
func (e *Endpoint) Validate() error {
	var errs []error
	if err := validateURL(e.URL); err != nil {
		errs = append(errs, err)
	}
	if e.RemoteTimeout <= 0 {
		errs = append(errs, component.At("remote_timeout", errors.New("it must be above 0")))
	}
	if err := validateMessage(e.ProtobufMessage); err != nil {
		errs = append(errs, err)
	}
	if err := e.Client.Validate(); err != nil {
		errs = append(errs, err)
	}
	for name := range e.Headers {
		if !validHeaderName(name) {
			errs = append(errs, component.At("headers", fmt.Errorf("%q is not a header name", name)))
		}
	}
	if (e.SigV4 != nil || e.AzureAD != nil) && e.authenticates() || e.SigV4 != nil && e.AzureAD != nil {
		errs = append(errs, errors.New("at most one of sigv4, azuread, basic_auth, authorization, oauth2, bearer_token and bearer_token_file may be set"))
	}
	for i := range e.WriteRelabel {
		if err := e.WriteRelabel[i].Validate(); err != nil {
			errs = append(errs, component.At(component.Block("write_relabel_config", i), err))
		}
	}
	return errors.Join(errs...)
}

func (e *Endpoint) authenticates() bool {
	c := &e.Client
	return c.BasicAuth != nil || c.Authorization != nil || c.OAuth2 != nil || c.BearerToken != "" || c.BearerTokenFile != ""
}

func validHeaderName(name string) bool {
	return name != "" && !slices.ContainsFunc([]byte(name), func(b byte) bool {
		return b <= ' ' || b >= 0x7f || b == ':'
	})
}

func validateMessage(name string) error {
	if name != messageV1 && name != messageV2 {
		return component.At("protobuf_message", fmt.Errorf("%q is unknown: use %q or %q", name, messageV1, messageV2))
	}
	return nil
}

func validateURL(raw string) error {
	if _, err := url.Parse(raw); err != nil {
		// The text of err holds the URL, and with it perhaps a password.
		return component.At("url", errors.New("it is not a valid URL: use http://host:port/path"))
	}
	return nil
}

// Validate reports what cannot work.
func (q *QueueConfig) Validate() error {
	var errs []error
	if q.MaxSamplesPerSend < 0 {
		errs = append(errs, component.At("max_samples_per_send", errors.New("it must not be negative")))
	}
	if q.BatchSendDeadline < 0 || q.SampleAgeLimit < 0 {
		errs = append(errs, component.At("batch_send_deadline", errors.New("it and sample_age_limit must not be negative")))
	}
	if q.MinBackoff < 0 || q.MaxBackoff < 0 {
		errs = append(errs, component.At("min_backoff", errors.New("it and max_backoff must not be negative")))
	}
	return errors.Join(errs...)
}

// Validate reports what cannot work.
func (m *MetadataConfig) Validate() error {
	if m.Send && m.SendInterval <= 0 {
		return component.At("send_interval", errors.New("it must be above 0; set send to false to send no metadata"))
	}
	if m.Send && m.MaxSamplesPerSend <= 0 {
		return component.At("max_samples_per_send", errors.New("it must be above 0; set send to false to send no metadata"))
	}
	return nil
}

// Validate reports what Alloy reports.
func (w *WAL) Validate() error {
	if w.TruncateFrequency == 0 {
		return component.At("truncate_frequency", errors.New("it must not be 0"))
	}
	if w.MaxKeepaliveTime <= w.MinKeepaliveTime {
		return component.At("min_keepalive_time", errors.New("it must be smaller than max_keepalive_time"))
	}
	return nil
}

// Validate reports what cannot work. What is missing is in AWS's files, or in the
// environment.
func (s *SigV4) Validate() error {
	if (s.AccessKey == "") != (s.SecretKey == "") {
		return errors.New("access_key and secret_key must be set together, or neither of them")
	}
	return nil
}

// warn reports every setting that has no effect here.
func (c *Config) warn(report func(path, why string)) {
	var wal WAL
	wal.SetToDefault()
	const noWAL = "there is no write-ahead log to truncate: samples wait in the queue on disk until they are delivered"
	if c.WAL.TruncateFrequency != wal.TruncateFrequency {
		report("wal/truncate_frequency", noWAL)
	}
	if c.WAL.MinKeepaliveTime != wal.MinKeepaliveTime {
		report("wal/min_keepalive_time", noWAL)
	}
	if c.WAL.MaxKeepaliveTime != wal.MaxKeepaliveTime {
		report("wal/max_keepalive_time", noWAL)
	}
	var urls []string
	for i := range c.Endpoints {
		urls = append(urls, c.Endpoints[i].URL)
		c.Endpoints[i].warn(component.Block("endpoint", i), report)
	}
	httpclient.WarnOff(report, urls)
}

func (e *Endpoint) warn(at string, report func(path, why string)) {
	if e.SigV4 != nil {
		if err := e.SigV4.identity().Check(); err != nil {
			report(at+"/sigv4", fmt.Sprintf("nothing can be delivered: %v", err))
		}
	}
	var q QueueConfig
	q.SetToDefault()
	if e.Queue.Capacity != q.Capacity {
		report(at+"/queue_config/capacity", "samples wait in the queue on disk, which is capped by its size")
	}
	const noShards = "requests go out one at a time, which keeps the samples of each series in order"
	if e.Queue.MaxShards != q.MaxShards {
		report(at+"/queue_config/max_shards", noShards)
	}
	if e.Queue.MinShards != q.MinShards {
		report(at+"/queue_config/min_shards", noShards)
	}
	for name := range e.Headers {
		if ownHeader(name) {
			report(at+"/headers", strconv.Quote(name)+" has no effect: the header is part of the protocol and says what the body is")
		}
	}
}

// ownHeader reports whether a header describes the body, which users cannot set.
func ownHeader(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Content-Encoding", "Content-Type", "Content-Length", "X-Prometheus-Remote-Write-Version",
		"X-Victoriametrics-Remote-Write-Version":
		return true
	}
	return false
}

// cleanURL is u for people: without credentials, which precede the host
// or in the query.
func cleanURL(u *url.URL) string {
	c := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return c.String()
}
