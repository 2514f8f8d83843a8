package prometheus

import (
	"encoding/binary"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"collector/pkg/otlp/promname"
	"collector/pkg/pipeline"
)

const (
	// memoryShare is the part of the program's memory limit that series may take, and
	// mostMemory what they may take at most. Those beyond are created for each request.
	memoryShare = 16
	mostMemory  = 256 << 20

	// What is remembered costs, in bytes, besides its texts: about, with what a writer
	// keeps of a series.
	keyCost    = 64
	seriesCost = 400

	// A point makes a copy of its attributes for each of its series, and every point of a
	// resource may have the resource's: these bound, in bytes, the labels that one point
	// may make, those that are held at once before they are forwarded, and those of one
	// request. They are far beyond what metrics have: 1,000 buckets with labels of 4 KiB.
	maxPoint   = 4 << 20
	maxPiece   = 32 << 20
	maxRequest = 1 << 30
)

// bounds are maxPoint, maxPiece and maxRequest, or less where memory is scarce.
type bounds struct{ point, piece, request int64 }

// cache has the series of recent data points, so that a point whose attributes are known
// costs no labels, and stays the same *pipeline.Series, with all that receivers derived
// of it.
//
// A series is found by a key: the number of its resource and of its metric, its
// attributes as they came, and which of the series of its point it is.
type cache struct {
	mu        sync.Mutex
	series    map[string]*entry // by key; guarded by mu, as is all below
	labeled   map[uint64]*entry // by the hash of their labels: several keys may lead to one
	resources map[string]*resource
	families  map[familyKey]*family
	last      uint64 // number of a resource or a family
	used, max int64  // bytes
	full      bool   // there was no room for something since the last look
	made      int64  // bytes of labels and series that the current piece has cost
	bounds    bounds
	key       []byte // of the point that is being converted
	builder   *labels.Builder
}

func newCache(max int64) *cache {
	return &cache{
		max:    max,
		bounds: bounds{point: maxPoint, piece: min(maxPiece, max), request: maxRequest},
		series: make(map[string]*entry), labeled: make(map[uint64]*entry),
		resources: make(map[string]*resource), families: make(map[familyKey]*family),
		builder: labels.NewBuilder(labels.EmptyLabels()),
	}
}

// entry is a series that is remembered. Times are in nanoseconds since the epoch.
type entry struct {
	series   *pipeline.Series
	cost     int64
	last     int64 // the time of its last sample
	exemplar int64 // and of its last exemplar
	seen     int64 // when it was needed last
}

// resource is where data points come from.
type resource struct {
	number        uint64
	job, instance string
	attributes    []labels.Label // as labels
	size          int64          // of the attributes as labels
	info          *entry         // target_info
	seen          int64
}

// familyKey distinguishes metrics that have different names in Prometheus.
type familyKey struct {
	name, unit string
	kind       promname.Kind
}

// family is a metric.
type family struct {
	number                   uint64
	name, sum, count, bucket string            // of its series
	told                     pipeline.Metadata // what receivers know of it
	seen                     int64
}

// which of the series of a data point.
type which byte

const (
	valueOf which = iota
	sumOf
	countOf
	bucketOf   // with le
	quantileOf // with quantile
)

func (f *family) nameOf(w which) string {
	switch w {
	case sumOf:
		return f.sum
	case countOf:
		return f.count
	case bucketOf:
		return f.bucket
	}
	return f.name
}

func (c *cache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.series)
}

// family returns a metric. The caller holds mu.
func (c *cache) family(name, unit string, kind promname.Kind, suffixes bool, now int64) *family {
	key := familyKey{name, unit, kind}
	f := c.families[key]
	if f == nil {
		c.last++
		full := promname.Metric(name, unit, kind, suffixes)
		f = &family{number: c.last, name: full, sum: full + "_sum", count: full + "_count", bucket: full + "_bucket"}
		if c.room(f.cost()) {
			c.families[key] = f
		}
	}
	f.seen = now
	return f
}

// resource returns what attributes say about a resource. The caller holds mu.
func (c *cache) resource(attributes pcommon.Map, now int64) *resource {
	c.key = appendAttributes(c.key[:0], attributes)
	r := c.resources[string(c.key)]
	if r == nil {
		r = c.newResource(attributes, now)
		if c.room(seriesCost + costOf(string(c.key))) {
			c.resources[string(c.key)] = r
		}
	}
	r.seen = now
	return r
}

// The attributes that say who a resource is.
const (
	serviceName      = "service.name"
	serviceNamespace = "service.namespace"
	serviceInstance  = "service.instance.id"
)

func (c *cache) newResource(attributes pcommon.Map, now int64) *resource {
	c.last++
	r := &resource{number: c.last}
	if name, ok := attributes.Get(serviceName); ok {
		r.job = name.AsString()
		if namespace, ok := attributes.Get(serviceNamespace); ok {
			r.job = namespace.AsString() + "/" + r.job
		}
	}
	if instance, ok := attributes.Get(serviceInstance); ok {
		r.instance = instance.AsString()
	}
	c.identify("target_info", r)
	for name, v := range attributes.All() {
		l := labels.Label{Name: promname.Label(name), Value: v.AsString()}
		r.attributes = append(r.attributes, l)
		r.size += int64(len(l.Name) + len(l.Value))
		if name != serviceName && name != serviceNamespace && name != serviceInstance {
			c.builder.Set(l.Name, l.Value)
		}
	}
	r.info = c.labeledEntry(now)
	return r
}

// identify begins the labels of a series.
func (c *cache) identify(name string, r *resource) {
	c.builder.Reset(labels.EmptyLabels())
	c.builder.Set(labels.MetricName, name)
	c.builder.Set(model.JobLabel, r.job)
	c.builder.Set(model.InstanceLabel, r.instance)
}

// scopeInfo is the series otel_scope_info of a scope. The caller holds mu.
func (c *cache) scopeInfo(r *resource, scope pcommon.InstrumentationScope, now int64) *entry {
	c.key = binary.BigEndian.AppendUint64(c.key[:0], r.number)
	c.key = append(c.key, "scope"...)
	c.key = appendText(appendText(c.key, scope.Name()), scope.Version())
	c.key = appendAttributes(c.key, scope.Attributes())
	return c.find(now, func() {
		c.identify("otel_scope_info", r)
		c.builder.Set("otel_scope_name", scope.Name())
		c.builder.Set("otel_scope_version", scope.Version())
		for name, v := range scope.Attributes().All() {
			c.builder.Set(promname.Label(name), v.AsString())
		}
	})
}

// point is a data point whose series are looked for.
type point struct {
	resource   *resource
	family     *family
	attributes pcommon.Map
	convert    bool // the resource's attributes are labels, too
	length     int  // of the key, without which of the series
}

// begin writes the key of a point. The caller holds mu.
func (c *cache) begin(p *point) {
	c.key = binary.BigEndian.AppendUint64(c.key[:0], p.resource.number)
	c.key = binary.BigEndian.AppendUint64(c.key, p.family.number)
	c.key = appendAttributes(c.key, p.attributes)
	p.length = len(c.key)
}

// cost is about what the labels of so many series of the point with which begin was
// called last take. The key has the attributes.
func (p *point) cost(series int) int64 {
	each := int64(p.length + len(p.resource.job) + len(p.resource.instance) + len(p.family.bucket))
	if p.convert {
		each += p.resource.size
	}
	return each * int64(series)
}

// of returns one of the series of the point with which begin was called last; bound is
// that of a bucket, or the quantile. The caller holds mu.
func (c *cache) of(p *point, w which, bound float64, now int64) *entry {
	c.key = append(c.key[:p.length], byte(w))
	if w == bucketOf || w == quantileOf {
		c.key = binary.BigEndian.AppendUint64(c.key, math.Float64bits(bound))
	}
	if e := c.series[string(c.key)]; e != nil {
		e.seen = now
		return e
	}
	return c.find(now, func() {
		c.identify(p.family.nameOf(w), p.resource)
		switch w {
		case bucketOf:
			c.builder.Set(model.BucketLabel, number(bound))
		case quantileOf:
			c.builder.Set(model.QuantileLabel, number(bound))
		}
		for name, v := range p.attributes.All() {
			c.builder.Set(promname.Label(name), v.AsString())
		}
		if p.convert {
			for _, l := range p.resource.attributes {
				c.builder.Set(l.Name, l.Value)
			}
		}
	})
}

// number is a bound as Alloy writes it into a label.
func number(f float64) string {
	if math.IsInf(f, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// find returns the entry of the key, whose labels label writes if it is new.
func (c *cache) find(now int64, label func()) *entry {
	e := c.series[string(c.key)]
	if e == nil {
		label()
		e = c.labeledEntry(now)
		if c.room(costOf(string(c.key))) {
			c.series[string(c.key)] = e
		}
	}
	e.seen = now
	return e
}

// labeledEntry is the entry of the series that has the builder's labels.
func (c *cache) labeledEntry(now int64) *entry {
	lset := c.builder.Labels()
	size := int64(0)
	lset.Range(func(l labels.Label) { size += int64(len(l.Name) + len(l.Value)) })
	c.made += size
	hash := lset.Hash()
	known := c.labeled[hash]
	if known != nil && labels.Equal(known.series.Labels, lset) {
		known.seen = now
		return known
	}
	c.made += seriesCost
	e := &entry{series: pipeline.NewSeries(lset), cost: seriesCost + 2*size, last: math.MinInt64, exemplar: math.MinInt64, seen: now}
	if known == nil && c.room(e.cost) {
		c.labeled[hash] = e
	}
	return e
}

// room takes bytes for something that will be remembered, if that many are left.
func (c *cache) room(bytes int64) bool {
	if c.used+bytes > c.max {
		c.full = true
		return false
	}
	c.used += bytes
	return true
}

// wasFull reports whether there was no room for something since the last call. The caller
// holds mu.
func (c *cache) wasFull() bool {
	full := c.full
	c.full = false
	return full
}

// costOf is what a key of a map costs.
func costOf(key string) int64 { return keyCost + int64(len(key)) }

func (f *family) cost() int64 { return seriesCost + 5*int64(len(f.name)) }

// forget removes what was not needed since then.
func (c *cache) forget(since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := since.UnixNano()
	for key, e := range c.series {
		if e.seen < before {
			c.used -= costOf(key)
			delete(c.series, key)
		}
	}
	for hash, e := range c.labeled {
		if e.seen < before {
			c.used -= e.cost
			delete(c.labeled, hash)
		}
	}
	for key, r := range c.resources {
		if r.seen < before {
			c.used -= seriesCost + costOf(key)
			delete(c.resources, key)
		}
	}
	for key, f := range c.families {
		if f.seen < before {
			c.used -= f.cost()
			delete(c.families, key)
		}
	}
}

// appendAttributes appends attributes so that different ones differ.
func appendAttributes(to []byte, attributes pcommon.Map) []byte {
	for name, v := range attributes.All() {
		to = appendText(to, name)
		to = append(to, byte(v.Type()))
		switch v.Type() {
		case pcommon.ValueTypeStr:
			to = appendText(to, v.Str())
		case pcommon.ValueTypeInt:
			to = binary.BigEndian.AppendUint64(to, uint64(v.Int()))
		case pcommon.ValueTypeDouble:
			to = binary.BigEndian.AppendUint64(to, math.Float64bits(v.Double()))
		case pcommon.ValueTypeBool:
			if v.Bool() {
				to = append(to, 1)
			} else {
				to = append(to, 0)
			}
		default:
			to = appendText(to, v.AsString())
		}
	}
	return to
}

func appendText(to []byte, text string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(text))), text...)
}
