package write

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"time"

	"collector/pkg/component"
	"collector/pkg/httpclient"
)

// Config is the configuration of loki.write.
type Config struct {
	Endpoints      []Endpoint        `alloy:"endpoint,block,optional"`
	ExternalLabels map[string]string `alloy:"external_labels,attr,optional"`
	MaxStreams     int               `alloy:"max_streams,attr,optional"`
	WAL            WAL               `alloy:"wal,block,optional"`
}

// Endpoint is one Loki.
type Endpoint struct {
	Name              string            `alloy:"name,attr,optional"`
	URL               string            `alloy:"url,attr"`
	BatchWait         time.Duration     `alloy:"batch_wait,attr,optional"`
	BatchSize         component.Bytes   `alloy:"batch_size,attr,optional"`
	RemoteTimeout     time.Duration     `alloy:"remote_timeout,attr,optional"`
	Headers           map[string]string `alloy:"headers,attr,optional"`
	MinBackoff        time.Duration     `alloy:"min_backoff_period,attr,optional"`
	MaxBackoff        time.Duration     `alloy:"max_backoff_period,attr,optional"`
	MaxBackoffRetries int               `alloy:"max_backoff_retries,attr,optional"`
	TenantID          string            `alloy:"tenant_id,attr,optional"`
	RetryOnHTTP429    bool              `alloy:"retry_on_http_429,attr,optional"`
	HTTP              httpclient.Config `alloy:",squash"`
	QueueConfig       QueueConfig       `alloy:"queue_config,block,optional"`
}

// QueueConfig is accepted for Alloy's sake: the queue on disk replaces
// what it configures.
type QueueConfig struct {
	Capacity        component.Bytes `alloy:"capacity,attr,optional"`
	DrainTimeout    time.Duration   `alloy:"drain_timeout,attr,optional"`
	MinShards       int             `alloy:"min_shards,attr,optional"`
	BlockOnOverflow bool            `alloy:"block_on_overflow,attr,optional"`
}

// WAL is accepted for Alloy's sake: the queue on disk is always on.
type WAL struct {
	Enabled          bool          `alloy:"enabled,attr,optional"`
	MaxSegmentAge    time.Duration `alloy:"max_segment_age,attr,optional"`
	MinReadFrequency time.Duration `alloy:"min_read_frequency,attr,optional"`
	MaxReadFrequency time.Duration `alloy:"max_read_frequency,attr,optional"`
	DrainTimeout     time.Duration `alloy:"drain_timeout,attr,optional"`
}

// SetToDefault sets what Alloy starts from.
func (c *Config) SetToDefault() {
	*c = Config{}
	c.WAL.SetToDefault()
}

// SetToDefault sets what Alloy starts from.
func (e *Endpoint) SetToDefault() {
	*e = Endpoint{
		BatchWait: time.Second, BatchSize: component.MiB, RemoteTimeout: 10 * time.Second,
		MinBackoff: 500 * time.Millisecond, MaxBackoff: 5 * time.Minute, MaxBackoffRetries: 10,
		RetryOnHTTP429: true, HTTP: httpclient.Default(),
	}
	e.QueueConfig.SetToDefault()
}

// SetToDefault sets what Alloy's program starts from.
func (q *QueueConfig) SetToDefault() {
	*q = QueueConfig{Capacity: 10 * component.MiB, DrainTimeout: 15 * time.Second, MinShards: 1, BlockOnOverflow: true}
}

// SetToDefault sets what Alloy's program starts from.
func (w *WAL) SetToDefault() {
	*w = WAL{MaxSegmentAge: time.Hour, MinReadFrequency: 250 * time.Millisecond, MaxReadFrequency: time.Second, DrainTimeout: 15 * time.Second}
}

// Validate reports settings that can't work.
func (w *WAL) Validate() error {
	if w.MinReadFrequency >= w.MaxReadFrequency {
		return component.At("min_read_frequency", fmt.Errorf("%s must be lower than max_read_frequency %s", w.MinReadFrequency, w.MaxReadFrequency))
	}
	return nil
}

// Validate reports settings that can't work.
func (c *Config) Validate() error {
	if c.MaxStreams < 0 {
		return component.At("max_streams", fmt.Errorf("%d must not be negative; 0 means no limit", c.MaxStreams))
	}
	names := make(map[string]bool)
	for i, e := range c.Endpoints {
		if e.Name != "" && names[e.Name] {
			return component.At(component.Block("endpoint", i)+"/name", fmt.Errorf("another endpoint has the name %q: give each a name of its own", e.Name))
		}
		names[e.Name] = true
	}
	return nil
}

// Validate reports settings that can't work.
func (e *Endpoint) Validate() error {
	_, err := url.Parse(e.URL)
	switch {
	case err != nil:
		// The text of err holds the URL, and with it perhaps a password.
		return component.At("url", errors.New("it is not a valid URL: use the full URL of Loki's push API, such as \"http://loki:3100/loki/api/v1/push\""))
	case httpclient.Off(e.URL) != "":
		return nil
	case e.BatchSize <= 0:
		return component.At("batch_size", errors.New("it must be positive"))
	case e.BatchWait < 0:
		return component.At("batch_wait", fmt.Errorf("%s must not be negative", e.BatchWait))
	case e.RemoteTimeout <= 0:
		return component.At("remote_timeout", fmt.Errorf("%s must be positive", e.RemoteTimeout))
	case e.MinBackoff <= 0 || e.MaxBackoff < e.MinBackoff:
		return component.At("min_backoff_period", fmt.Errorf("%s and max_backoff_period %s: the first must be positive, the second not less", e.MinBackoff, e.MaxBackoff))
	case e.MaxBackoffRetries < 0:
		return component.At("max_backoff_retries", fmt.Errorf("%d must not be negative", e.MaxBackoffRetries))
	}
	return e.HTTP.Validate()
}

// warn reports the settings that have no effect.
func (c *Config) warn(warn func(path, why string)) {
	const durable = "waiting data is always kept on disk, whether this is set or not"
	var wal WAL
	wal.SetToDefault()
	if c.WAL.MaxSegmentAge != wal.MaxSegmentAge {
		warn("wal/max_segment_age", "entries are kept until they are delivered, as long as the disk queue has room")
	}
	if c.WAL.MinReadFrequency != wal.MinReadFrequency || c.WAL.MaxReadFrequency != wal.MaxReadFrequency {
		warn("wal/min_read_frequency", "entries are sent as they arrive; nothing is polled, so it and max_read_frequency have no effect")
	}
	if c.WAL.DrainTimeout != wal.DrainTimeout {
		warn("wal/drain_timeout", durable)
	}
	var urls []string
	for i := range c.Endpoints {
		urls = append(urls, c.Endpoints[i].URL)
		c.Endpoints[i].warn(component.Block("endpoint", i), warn)
	}
	httpclient.WarnOff(warn, urls)
}

func (e *Endpoint) warn(at string, warn func(path, why string)) {
	const disk = "entries wait in the queue on disk, not in memory"
	var d Endpoint
	d.SetToDefault()
	if n := e.MaxBackoffRetries; n != d.MaxBackoffRetries && n != 0 {
		warn(at+"/max_backoff_retries", "entries are retried for as long as the disk queue holds them")
	}
	q, dq := e.QueueConfig, d.QueueConfig
	if q.Capacity != dq.Capacity {
		warn(at+"/queue_config/capacity", disk)
	}
	if q.DrainTimeout != dq.DrainTimeout {
		warn(at+"/queue_config/drain_timeout", disk+", and are sent after the next start")
	}
	if q.MinShards != dq.MinShards {
		warn(at+"/queue_config/min_shards", "requests to an endpoint go out one at a time, which keeps their order")
	}
	if q.BlockOnOverflow != dq.BlockOnOverflow {
		warn(at+"/queue_config/block_on_overflow", disk+"; when it is full, sources wait")
	}
}

// id names the endpoint's cursor in the queue. It changes with the place that
// the entries go to, and with nothing else.
func (e *Endpoint) id() string {
	if e.Name != "" {
		return e.Name
	}
	u, _ := url.Parse(e.URL)
	sum := sha256.Sum256([]byte(e.URL + "\x00" + e.TenantID))
	return fmt.Sprintf("%s-%x", u.Host, sum[:4])
}
