package profiles

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/httpclient"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// concurrency is the number of profiles that are sent to an endpoint at once.
const concurrency = 8

// Write is pyroscope.write: a queue of profiles and the endpoints that get
// each of them.
type Write struct {
	config  WriteConfig
	metrics *writeMetrics
	senders []*sender
	writer  *deliver.Writer
	buffers buffers
}

//go:embed pyroscope.write.md
var writePage string

func writeDefinition() component.Definition {
	return component.Define("pyroscope.write", NewWrite, component.Doc{Page: writePage, Exports: []component.Export{{Name: "receiver", Type: "ProfilesReceiver"}}})
}

// NewWrite checks c and starts nothing.
func NewWrite(c WriteConfig, o component.Options) (*Write, error) {
	o = o.WithDefaults()
	c.warn(o)
	urlOf := func(e EndpointConfig) string { return e.URL }
	blocks, off := httpclient.On(c.Endpoints, urlOf), httpclient.AllOff(c.Endpoints, urlOf)
	c.Endpoints = slices.DeleteFunc(slices.Clone(c.Endpoints), func(e EndpointConfig) bool { return httpclient.Off(e.URL) != "" })
	w := &Write{config: c, metrics: newWriteMetrics(o.Metrics)}
	endpoints := make(map[string]string) // by destination
	var destinations []deliver.Destination
	for i := range c.Endpoints {
		s, err := newSender(&c.Endpoints[i], o, w.metrics)
		if err != nil {
			return nil, component.At(component.Block("endpoint", blocks[i]), err)
		}
		w.senders = append(w.senders, s)
		id := destinationID(&c.Endpoints[i], s, endpoints)
		endpoints[id] = s.endpoint
		w.metrics.begin(s.endpoint)
		destinations = append(destinations, deliver.Destination{
			ID:          id,
			URL:         s.endpoint,
			Key:         httpclient.Key("pyroscope.write", "profiles", c.Endpoints[i].URL, "", c.Endpoints[i].Headers, &c.Endpoints[i].HTTP),
			Sender:      s,
			Batch:       queue.BatchLimits{MaxItems: 1},
			Backoff:     deliver.Backoff{Min: c.Endpoints[i].MinBackoff, Max: c.Endpoints[i].MaxBackoff},
			Concurrency: concurrency,
			Observe:     s.attempted,
			OnDrop: func(_, bytes int, _ string) {
				w.metrics.droppedBytes.WithLabelValues(s.endpoint).Add(float64(bytes))
			},
		})
	}
	var err error
	w.writer, err = deliver.New(deliver.Options{
		Component:    o.ID,
		Orphans:      o.Orphans,
		Dir:          o.Dir,
		Signal:       "profiles",
		Destinations: destinations,
		Off:          off,
		WhenFull:     queue.Refuse,
		Logger:       o.Logger,
		Metrics:      o.Metrics,
		Spans:        o.Spans,
	})
	if err != nil {
		return nil, err
	}
	o.Metrics.MustRegister(newDroppedProfiles(func() map[string]uint64 { return w.droppedProfiles(endpoints) }))
	return w, nil
}

// destinationID names an endpoint in the queue. It stays the same when
// credentials, timeouts or the order of other endpoints change.
func destinationID(c *EndpointConfig, s *sender, taken map[string]string) string {
	id := c.Name
	if id == "" {
		sum := sha256.Sum256([]byte(s.endpoint))
		id = s.host + "-" + hex.EncodeToString(sum[:4])
	}
	unique := id
	for n := 2; ; n++ {
		if _, ok := taken[unique]; !ok {
			return unique
		}
		unique = id + "-" + strconv.Itoa(n)
	}
}

// droppedProfiles adds up what was dropped, by endpoint.
func (w *Write) droppedProfiles(endpoints map[string]string) map[string]uint64 {
	sums := make(map[string]uint64)
	for _, status := range w.writer.Status() {
		endpoint := endpoints[status.ID]
		sums[endpoint] += 0
		for _, n := range status.Dropped {
			sums[endpoint] += n
		}
	}
	return sums
}

// Exports returns the receiver, a pipeline.ProfilesSink.
func (w *Write) Exports() map[string]any {
	return map[string]any{"receiver": pipeline.ProfilesSink(w)}
}

// Run delivers until ctx ends.
func (w *Write) Run(ctx context.Context) error {
	defer func() {
		for _, s := range w.senders {
			s.close()
		}
	}()
	return w.writer.Run(ctx)
}

// Status returns the state of each endpoint, a []deliver.Status.
func (w *Write) Status() any { return w.writer.Status() }

// Destinations is the state of the delivery to each endpoint.
func (w *Write) Destinations() []deliver.Status { return w.writer.Destinations() }

// QueueUse is what the component has of the storage path.
func (w *Write) QueueUse() deliver.Use { return w.writer.Use() }

// QueueWriter is what delivers its queue.
func (w *Write) QueueWriter(string) (*deliver.Writer, error) { return w.writer, nil }

// WriteProfile implements pipeline.ProfilesSink. It fails with
// pipeline.ErrFull when the queue is full.
func (w *Write) WriteProfile(ctx context.Context, p pipeline.Profile) error {
	start := time.Now()
	f := frame{
		route:       p.Route,
		received:    start,
		query:       p.Query,
		contentType: p.ContentType,
		body:        p.Body,
	}
	var err error
	if p.Route == pipeline.ProfilePush {
		f.body, err = changePush(p.Body, delivered(p.Named, w.config.ExternalLabels))
	} else {
		f.query, err = changeQuery(p.Query, ingested(p.Named, w.config.ExternalLabels))
	}
	if err != nil {
		w.writer.Drop(p.Items, "bad_request")
		return pipeline.Permanent(err)
	}
	data := f.append(w.buffers.get(f.size()))
	err = w.writer.Append(ctx, queue.Block{Data: data, Items: p.Items})
	w.buffers.put(data)
	w.metrics.latency.WithLabelValues("-", string(p.Route)+"_total").Observe(time.Since(start).Seconds())
	return err
}
