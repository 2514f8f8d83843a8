// Package remotewrite is prometheus.remote_write: it encodes samples once, as remote
// write 1.0 has them, queues them and delivers them. For an endpoint with remote write
// 2.0, they are converted when they are sent.
//
// A block of the queue, whose tag is its encoding, is
//
//	+------------+-----------+----------+----------------+-----------------+
//	| histograms | exemplars | metadata | metadata bytes | payload         |
//	| uvarint    | uvarint   | uvarint  | uvarint        | to the end      |
//	+------------+-----------+----------+----------------+-----------------+
//
// and its payload is a prometheus.WriteRequest, compressed as zstd or in
// snappy's block format: what goes on the wire. Blocks are merged by joining
// their payloads.
//
// The outcome of a request:
//
//	2xx                 delivered
//	400, 415 to zstd    the same again in snappy, which decides
//	400, 409, 413, 422  cut down until what is at fault is alone, which is dropped
//	429                 kept and sent again, or dropped without retry_on_http_429
//	anything else       kept and sent again: a wrong password or path, a server
//	                    that is down and a timeout can be fixed, and samples
//	                    that wait for it are shown and capped by the queue
package remotewrite

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/deliver/httpsend"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

const (
	// defaultItems and defaultBytes bound a request unless the user does.
	defaultItems = 10_000
	defaultBytes = 1 << 20
	// defaultWait is how long samples are held back unless the user says.
	defaultWait = 500 * time.Millisecond
)

// Component is a running prometheus.remote_write. It is a pipeline.MetricsSink.
type Component struct {
	writer    *deliver.Writer
	endpoints []*endpoint
	encoder   *encoder
	metrics   *metrics
}

//go:embed prometheus.remote_write.md
var docPage string

func definition() component.Definition {
	return component.Define("prometheus.remote_write", New, component.Doc{Page: docPage, Exports: []component.Export{{Name: "receiver", Type: "MetricsReceiver"}}})
}

// New checks cfg and makes the component.
func New(cfg Config, o component.Options) (*Component, error) {
	o = o.WithDefaults()
	cfg.warn(o.Warn)
	off := httpclient.AllOff(cfg.Endpoints, func(e Endpoint) string { return e.URL })
	cfg.Endpoints = slices.DeleteFunc(slices.Clone(cfg.Endpoints), func(e Endpoint) bool { return httpclient.Off(e.URL) != "" })
	c := &Component{metrics: newMetrics(o.Metrics)}
	codec := newCodec()
	names, all, err := c.makeEndpoints(cfg.Endpoints, codec, o)
	if err != nil {
		return nil, err
	}
	c.encoder = newEncoder(cfg.ExternalLabels, all, codec, &c.metrics.active, blockItems(cfg.Endpoints))
	destinations := make([]deliver.Destination, len(c.endpoints))
	for i, e := range c.endpoints {
		destinations[i] = e.destination()
	}
	c.writer, err = deliver.New(deliver.Options{
		Component: o.ID, Orphans: o.Orphans, Dir: o.Dir, Signal: "metrics", Destinations: destinations, Off: off, WhenFull: queue.DropOldest,
		Logger: o.Logger, Metrics: o.Metrics, Spans: o.Spans,
	})
	if err != nil {
		return nil, err
	}
	o.Metrics.MustRegister(newStatusCollector(c.writer.Status, names))
	return c, nil
}

// makeEndpoints makes the endpoints. It returns their remote_name by their id,
// and the shape that blocks for them have.
func (c *Component) makeEndpoints(endpoints []Endpoint, codec *codec, o component.Options) (names map[string]string, all shape, err error) {
	made := discovery.NewLabelNames(model.LegacyValidation, o.Logger)
	shapes := make([]shape, len(endpoints))
	for i := range endpoints {
		if shapes[i], err = shapeOf(&endpoints[i]); err != nil {
			return nil, shape{}, err
		}
		shapes[i].names = made
	}
	all = common(shapes)
	names = make(map[string]string)
	for i := range endpoints {
		e, err := newEndpoint(&endpoints[i], names, shapes[i], all, codec, c.metrics, o)
		if err != nil {
			return nil, shape{}, err
		}
		c.endpoints = append(c.endpoints, e)
	}
	return names, all, nil
}

func shapeOf(e *Endpoint) (shape, error) {
	rules, err := discovery.Compile(e.WriteRelabel)
	if err != nil {
		return shape{}, err
	}
	s := shape{rules: rules, exemplars: e.SendExemplars, histograms: e.SendNativeHistograms, metadata: e.Metadata}
	if !s.metadata.Send {
		s.metadata = MetadataConfig{}
	}
	return s, nil
}

// newEndpoint makes an endpoint and adds its id and remote_name to names.
func newEndpoint(cfg *Endpoint, names map[string]string, own, all shape, codec *codec, m *metrics, o component.Options) (*endpoint, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, validateURL(cfg.URL)
	}
	client, err := cfg.newClient(o.UserAgent)
	if err != nil {
		return nil, err
	}
	var aws *signing
	if cfg.SigV4 != nil {
		if aws, err = newSigning(cfg.SigV4, &cfg.Client, o.UserAgent); err != nil {
			return nil, err
		}
		client.CheckRedirect = aws.resigning(client.CheckRedirect)
	}
	clean := cleanURL(u)
	id := cmp.Or(cfg.Name, clean)
	// Endpoints without a name may share a URL and differ in their credentials.
	for n := 2; names[id] != ""; n++ {
		id = cmp.Or(cfg.Name, clean) + "#" + strconv.Itoa(n)
	}
	name := cfg.Name
	if name == "" {
		sum := sha256.Sum256([]byte(id))
		name = hex.EncodeToString(sum[:3])
	}
	names[id] = name
	e := &endpoint{
		id: id, url: clean, target: cfg.URL, cfg: cfg, codec: codec, logger: o.Logger, aws: aws,
		metrics: m.endpoint(name, clean),
		shaper:  shaper{shape: own, always: !own.equal(all), maxAge: cfg.Queue.SampleAgeLimit},
	}
	e.client = &httpsend.Client{HTTP: client, Timeout: cfg.RemoteTimeout, Observe: e.observe}
	if own.metadata.Send {
		e.shaper.metadata = newMetadataLimiter(own.metadata.SendInterval)
	}
	if e.two = cfg.ProtobufMessage == messageV2; e.two {
		e.client.Except = exceptVersion2
	}
	if cfg.SigV4 != nil || e.two { // Amazon's service accepts nothing but snappy
		e.snappy.Store(true)
	}
	return e, nil
}

// newClient makes the client of an endpoint.
func (e *Endpoint) newClient(userAgent string) (*http.Client, error) {
	settings := e.Client
	if e.AzureAD != nil {
		settings = e.AzureAD.authenticate(settings)
	}
	client, err := settings.NewPush("remote_write", userAgent)
	if err == nil && e.AzureAD != nil && e.AzureAD.ManagedIdentity != nil {
		client.Transport = e.AzureAD.identity(client.Transport)
	}
	return client, err
}

// destination tells the delivery loop how to use e.
func (e *endpoint) destination() deliver.Destination {
	var defaults QueueConfig
	defaults.SetToDefault()
	q := &e.cfg.Queue
	limits := queue.BatchLimits{
		MinItems: defaultItems, MaxItems: defaultItems,
		MinBytes: defaultBytes, MaxBytes: defaultBytes, MaxWait: defaultWait,
	}
	if limit := itemLimit(q); limit > 0 {
		limits.MinItems, limits.MaxItems = limit, limit
	}
	if q.BatchSendDeadline != defaults.BatchSendDeadline {
		limits.MaxWait = q.BatchSendDeadline
	}
	if q.wait > 0 {
		limits.MaxWait = q.wait
	}
	return deliver.Destination{
		ID: e.id, URL: e.url, Sender: e, Batch: limits,
		Key:     httpclient.Key("prometheus.remote_write", "metrics", e.target, "", e.cfg.Headers, &e.cfg.Client),
		Backoff: deliver.Backoff{Min: max(q.MinBackoff, time.Millisecond), Max: max(q.MinBackoff, q.MaxBackoff, time.Millisecond)},
		MaxAge:  q.SampleAgeLimit,
		Observe: e.metrics.attempted,
	}
}

// itemLimit is the user's limit on the samples of a request, or 0.
func itemLimit(q *QueueConfig) int {
	var defaults QueueConfig
	defaults.SetToDefault()
	if q.items > 0 {
		return q.items
	}
	if q.MaxSamplesPerSend == defaults.MaxSamplesPerSend {
		return 0
	}
	return q.MaxSamplesPerSend
}

// blockItems is the number of samples at which a batch is cut, so that no block
// is beyond what an endpoint may be sent.
func blockItems(endpoints []Endpoint) int {
	items := defaultItems
	for i := range endpoints {
		if limit := itemLimit(&endpoints[i].Queue); limit > 0 {
			items = min(items, limit)
		}
	}
	return items
}

// QueueUse is what the component has of the storage path.
func (c *Component) QueueUse() deliver.Use { return c.writer.Use() }

// QueueWriter is what delivers its queue.
func (c *Component) QueueWriter(string) (*deliver.Writer, error) { return c.writer, nil }

// Run delivers until ctx ends.
func (c *Component) Run(ctx context.Context) error {
	defer func() {
		for _, e := range c.endpoints {
			e.client.Close()
		}
	}()
	return c.writer.Run(ctx)
}

// Exports is the receiver.
func (c *Component) Exports() map[string]any {
	return map[string]any{"receiver": pipeline.MetricsSink(c)}
}

// Status is what the debug UI shows.
type Status struct {
	ActiveSeries int64
	Endpoints    []EndpointStatus
}

// EndpointStatus is the delivery to one endpoint.
type EndpointStatus struct {
	deliver.Status
	Encoding string // how requests are compressed
}

// Status is a snapshot.
func (c *Component) Status() any {
	s := Status{ActiveSeries: c.metrics.active.count(time.Now())}
	for i, d := range c.writer.Status() {
		s.Endpoints = append(s.Endpoints, EndpointStatus{d, string(c.endpoints[i].encoding())})
	}
	return s
}

// Destinations is the state of the delivery to each endpoint.
func (c *Component) Destinations() []deliver.Status { return c.writer.Destinations() }

// WriteMetrics queues a batch. It is part of pipeline.MetricsSink.
//
// A large batch makes several blocks. When one of them cannot be queued, the
// error belongs to the batch, and the ones before it are queued again with the
// next attempt: a sample that arrives twice is the same sample.
func (c *Component) WriteMetrics(ctx context.Context, m pipeline.Metrics) error {
	if len(c.endpoints) == 0 {
		return c.writer.Append(ctx, queue.Block{Items: m.Items()})
	}
	payload := c.encoding()
	return c.encoder.encode(m, func(b *batch) error {
		if len(b.raw) > 0 {
			if err := c.writer.Append(ctx, c.encoder.codec.block(b, payload)); err != nil {
				return err
			}
			c.metrics.queued(b)
		}
		c.drop(b.dropped)
		c.lose(b.lost)
		return nil
	})
}

// encoding is the encoding of new blocks: zstd while any endpoint may accept it.
func (c *Component) encoding() encoding {
	for _, e := range c.endpoints {
		if e.encoding() == encodingZstd {
			return encodingZstd
		}
	}
	return encodingSnappy
}

// drop accounts for what never became part of a block.
func (c *Component) drop(d drops) {
	for _, part := range []struct {
		n      int
		reason string
	}{{d.relabeled, reasonRelabeled}, {d.histograms, reasonHistograms}, {d.customBuckets, reasonCustomBuckets}} {
		if part.n > 0 {
			c.writer.Drop(part.n, part.reason)
		}
	}
}

// lose accounts for exemplars that are sent to no endpoint.
func (c *Component) lose(lost lostExemplars) {
	for _, e := range c.endpoints {
		if e.cfg.SendExemplars {
			e.metrics.lostExemplars(lost)
		}
	}
}

// sortedLabels makes labels of a map.
func sortedLabels(m map[string]string) []labels.Label {
	var out []labels.Label
	labels.FromMap(m).Range(func(l labels.Label) { out = append(out, l) })
	return out
}
