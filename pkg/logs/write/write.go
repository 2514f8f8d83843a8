// Package write is loki.write: it encodes entries as logproto.PushRequest, queues
// them on disk and sends them to every endpoint.
package write

import (
	"context"
	_ "embed"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

const (
	// tenantLabel is the label by which an entry chooses its tenant.
	tenantLabel = "__tenant_id__"
	// maxBlock is the size at which a block is closed, uncompressed.
	maxBlock = int(component.MiB)
	// pooledBuffer is the largest buffer that is kept for the next block.
	pooledBuffer = 512 << 10
)

// Write is loki.write: it queues log entries on disk and sends them to its
// endpoints.
type Write struct {
	opts     component.Options
	external []labels.Label
	names    *discovery.LabelNames
	senders  []*sender
	writer   *deliver.Writer
	metrics  *metrics
	limiter  *streamLimiter // nil without a limit
	ratio    *compressionRatio
	maxBlock int
	buffers  sync.Pool // of *[]byte
}

//go:embed loki.write.md
var page string

// Definition is the component loki.write.
func Definition() component.Definition {
	return component.Define("loki.write", New, component.Doc{Page: page, Exports: []component.Export{{Name: "receiver", Type: "LogsReceiver"}}})
}

// New checks cfg.
func New(cfg Config, o component.Options) (*Write, error) {
	o = o.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.warn(o.Warn)
	urlOf := func(e Endpoint) string { return e.URL }
	blocks, off := httpclient.On(cfg.Endpoints, urlOf), httpclient.AllOff(cfg.Endpoints, urlOf)
	cfg.Endpoints = slices.DeleteFunc(slices.Clone(cfg.Endpoints), func(e Endpoint) bool { return httpclient.Off(e.URL) != "" })
	w := &Write{opts: o, maxBlock: maxBlock, names: discovery.NewLabelNames(model.LegacyValidation, o.Logger)}
	w.buffers.New = func() any { return new([]byte) }
	w.external = externalLabels(cfg.ExternalLabels, w.names)
	w.metrics = newMetrics(o.Metrics)
	destinations, err := w.destinations(cfg, blocks)
	if err != nil {
		return nil, err
	}
	w.ratio = newCompressionRatio(func(factor float64) {
		for i := range w.senders {
			w.writer.SetBatch(destinations[i].ID, cfg.Endpoints[i].batchLimits(factor))
		}
	})
	w.writer, err = deliver.New(deliver.Options{
		Component: o.ID, Orphans: o.Orphans, Dir: o.Dir, Signal: "logs", Destinations: destinations, Off: off, WhenFull: queue.Wait,
		Logger: o.Logger, Metrics: o.Metrics, Spans: o.Spans,
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// destinations makes the sender of each endpoint. blocks are the numbers of their
// blocks, among those that are switched off.
func (w *Write) destinations(cfg Config, blocks []int) ([]deliver.Destination, error) {
	var out []deliver.Destination
	used := make(map[string]int)
	window := time.Duration(0)
	for i := range cfg.Endpoints {
		e := cfg.Endpoints[i]
		if err := e.Validate(); err != nil {
			return nil, component.At(component.Block("endpoint", blocks[i]), err)
		}
		s, err := newSender(e, w.opts.UserAgent, w.metrics)
		if err != nil {
			return nil, component.At(component.Block("endpoint", blocks[i]), err)
		}
		w.metrics.begin(s.host, e.TenantID)
		w.senders = append(w.senders, s)
		w.maxBlock = min(w.maxBlock, int(e.BatchSize))
		window = max(window, e.BatchWait)
		id := e.id()
		if used[id]++; used[id] > 1 {
			id = fmt.Sprintf("%s-%d", id, used[id])
		}
		out = append(out, deliver.Destination{
			ID: id, URL: redactedURL(e.URL), Key: httpclient.Key("loki.write", "logs", e.URL, e.TenantID, e.Headers, &e.HTTP), Sender: s, Batch: e.batchLimits(startRatio),
			Backoff: deliver.Backoff{Min: e.MinBackoff, Max: e.MaxBackoff},
			Observe: s.attempted,
		})
	}
	if cfg.MaxStreams > 0 {
		w.limiter = &streamLimiter{limit: cfg.MaxStreams, window: window}
	}
	return out, nil
}

// batchLimits says how blocks are merged when their contents are factor times as
// large as they are: batch_size is about contents.
func (e *Endpoint) batchLimits(factor float64) queue.BatchLimits {
	size := max(1, int(float64(e.BatchSize)/factor))
	return queue.BatchLimits{MinBytes: size, MaxBytes: size, MaxWait: e.BatchWait}
}

func redactedURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery = nil, ""
	return u.String()
}

// Exports returns the receiver.
func (w *Write) Exports() map[string]any {
	return map[string]any{"receiver": pipeline.LogsSink(w)}
}

// Run sends until ctx ends.
func (w *Write) Run(ctx context.Context) error {
	defer func() {
		for _, s := range w.senders {
			s.client.Close()
		}
	}()
	return w.writer.Run(ctx)
}

// Status returns a snapshot of the endpoints.
func (w *Write) Status() any { return w.writer.Status() }

// Destinations is the state of the delivery to each endpoint.
func (w *Write) Destinations() []deliver.Status { return w.writer.Destinations() }

// QueueUse is what the component has of the storage path.
func (w *Write) QueueUse() deliver.Use { return w.writer.Use() }

// QueueWriter is what delivers its queue.
func (w *Write) QueueWriter(string) (*deliver.Writer, error) { return w.writer, nil }

// WriteLogs implements pipeline.LogsSink. It takes all of logs or none.
func (w *Write) WriteLogs(ctx context.Context, logs pipeline.Logs) error {
	buf := w.buffers.Get().(*[]byte)
	defer w.recycle(buf)
	b := builder{w: w, raw: (*buf)[:0]}
	defer func() {
		*buf = b.raw
		for _, encoded := range b.encoded {
			w.recycle(encoded)
		}
	}()
	var dropped drops
	for i := range logs.Streams {
		s := &logs.Streams[i]
		lset, tenant := w.streamLabels(s.Labels), s.Labels.Get(tenantLabel)
		if reason := w.refuse(lset, tenant); reason != "" {
			dropped.add(s.Entries, tenant, reason)
			continue
		}
		b.add(tenant, streamLabelString(lset), s.Entries)
	}
	b.seal()
	if len(b.blocks) > 0 {
		if err := w.writer.Append(ctx, b.blocks...); err != nil {
			return err
		}
	}
	// Only from here on can the caller not retry the same entries.
	w.countDrops(dropped)
	return nil
}

func (w *Write) recycle(buf *[]byte) {
	if cap(*buf) <= pooledBuffer {
		w.buffers.Put(buf)
	}
}

// streamLabels is what is sent of lset: what is public, and the external
// labels, also empty ones, that it doesn't have itself, with names that Loki
// accepts.
func (w *Write) streamLabels(lset labels.Labels) labels.Labels {
	lset = w.names.Valid(pipeline.Public(lset))
	if len(w.external) == 0 {
		return lset
	}
	b := labels.NewScratchBuilder(lset.Len() + len(w.external))
	lset.Range(func(l labels.Label) { b.Add(l.Name, l.Value) })
	for _, l := range w.external {
		if !lset.Has(l.Name) {
			b.Add(l.Name, l.Value)
		}
	}
	b.Sort()
	return b.Labels()
}

// externalLabels are the configured ones that are sent, with valid names. As
// in Alloy, those without a value are sent, too.
func externalLabels(of map[string]string, names *discovery.LabelNames) []labels.Label {
	var out []labels.Label
	valid := names.Valid(pipeline.Public(labels.FromMap(of)))
	valid.Range(func(l labels.Label) { out = append(out, l) })
	for name, value := range of {
		if value == "" && !valid.Has(name) && !pipeline.IsInternal(name) && model.LegacyValidation.IsValidLabelName(name) {
			out = append(out, labels.Label{Name: name})
		}
	}
	return out
}

// refuse says why entries with these labels can't be sent; "" if they can.
func (w *Write) refuse(lset labels.Labels, tenant string) string {
	if w.limiter != nil && !w.limiter.allow(tenant, lset.Hash(), time.Now()) {
		return reasonStreamLimited
	}
	return ""
}

// drops are entries that were not queued.
type drops []drop

type drop struct {
	tenant, reason string
	entries, bytes int
}

func (d *drops) add(entries []pipeline.Entry, tenant, reason string) {
	n := 0
	for i := range entries {
		n += len(entries[i].Line)
	}
	*d = append(*d, drop{tenant, reason, len(entries), n})
}

func (w *Write) countDrops(dropped drops) {
	for _, d := range dropped {
		w.writer.Drop(d.entries, d.reason)
		for _, s := range w.senders {
			w.metrics.drop(s.host, s.tenant(d.tenant), d.reason, d.entries, d.bytes)
		}
	}
}

// builder makes blocks of streams.
type builder struct {
	w       *Write
	blocks  []queue.Block
	encoded []*[]byte // what holds the data of blocks

	raw    []byte // the PushRequest in progress
	tenant string
	items  int
	oldest int64
	newest int64
}

// add appends a stream, in parts if it is large.
func (b *builder) add(tenant, name string, entries []pipeline.Entry) {
	entries, changed, size := validEntries(entries)
	if changed > 0 {
		for _, s := range b.w.senders {
			b.w.metrics.mutatedEntries.WithLabelValues(s.host, s.tenant(tenant), reasonInvalidUTF8).Add(float64(changed))
			b.w.metrics.mutatedBytes.WithLabelValues(s.host, s.tenant(tenant), reasonInvalidUTF8).Add(float64(size))
		}
	}
	if tenant != b.tenant {
		b.seal()
		b.tenant = tenant
	}
	for len(entries) > 0 {
		n := b.fit(name, entries)
		if n == 0 {
			b.seal()
			continue
		}
		b.raw = appendStream(b.raw, name, entries[:n])
		b.count(entries[:n])
		entries = entries[n:]
	}
}

// fit is how many of the entries go into the block. An empty block takes one
// of any size.
func (b *builder) fit(name string, entries []pipeline.Entry) int {
	room := b.w.maxBlock - len(b.raw) - fieldSize(len(name))
	for i := range entries {
		if room -= fieldSize(entrySize(&entries[i])); room < 0 {
			if len(b.raw) == 0 {
				return max(1, i)
			}
			return i
		}
	}
	return len(entries)
}

func (b *builder) count(entries []pipeline.Entry) {
	for i := range entries {
		ns := entries[i].Time.UnixNano()
		if b.items == 0 {
			b.oldest, b.newest = ns, ns
		}
		b.oldest, b.newest = min(b.oldest, ns), max(b.newest, ns)
		b.items++
	}
}

// seal makes a block of the request in progress.
func (b *builder) seal() {
	if b.items == 0 {
		return
	}
	buf := b.w.buffers.Get().(*[]byte)
	b.encoded = append(b.encoded, buf)
	data := snappy.Encode((*buf)[:cap(*buf)], b.raw)
	*buf = data
	b.w.ratio.observe(len(b.raw), len(data))
	b.blocks = append(b.blocks, queue.Block{
		Data: data, Tag: b.tenant, Items: b.items, MinTime: b.oldest, MaxTime: b.newest,
	})
	b.raw, b.items = b.raw[:0], 0
}

// streamLimiter keeps the number of active streams of each tenant under a
// limit. A stream is active from its first entry to the end of the window,
// which is as long as a batch is gathered: like Alloy's limit, which is about
// the streams of one batch.
type streamLimiter struct {
	limit  int
	window time.Duration

	mu     sync.Mutex
	ends   time.Time                      // of the window; guarded by mu
	active map[string]map[uint64]struct{} // by tenant, of hashes of labels; guarded by mu
}

func (l *streamLimiter) allow(tenant string, stream uint64, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !now.Before(l.ends) {
		l.ends, l.active = now.Add(l.window), make(map[string]map[uint64]struct{})
	}
	active := l.active[tenant]
	if _, ok := active[stream]; ok {
		return true
	}
	if len(active) >= l.limit {
		return false
	}
	if active == nil {
		active = make(map[uint64]struct{})
		l.active[tenant] = active
	}
	active[stream] = struct{}{}
	return true
}
