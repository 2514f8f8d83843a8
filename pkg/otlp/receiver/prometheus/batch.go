package prometheus

import (
	"net"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"collector/pkg/pipeline"
)

// Why samples are dropped.
const (
	noName     = "no_name"
	badBucket  = "bad_bucket"  // le or quantile is missing, or is not a number
	incomplete = "incomplete"  // of a histogram or a summary, without its count
	badBuckets = "bad_buckets" // of a native histogram
)

// batch is the result of one call: families of metrics by the resource and the scope in
// their labels.
type batch struct {
	in        pipeline.Metrics
	resources []*resource // in the order in which they came
	bytes     []byte      // for hashing
	dropped   map[string]int
}

// resource is a job's instance.
type resource struct {
	job, instance string
	info          []labels.Label // of target_info
	scopes        []*scope
}

// scope is what the labels otel_scope_* say.
type scope struct {
	name, version, schema string
	info                  []labels.Label // of otel_scope_info
	families              map[familyKey]*family
	order                 []*family
}

func newBatch(m pipeline.Metrics) *batch {
	b := &batch{in: m, dropped: make(map[string]int)}
	for i := range m.Samples {
		b.sample(&m.Samples[i])
	}
	for i := range m.Histograms {
		b.histogram(&m.Histograms[i])
	}
	for i := range m.Exemplars {
		b.exemplar(&m.Exemplars[i])
	}
	return b
}

// resource returns the resource in the labels, or the scraped target.
func (b *batch) resource(lset labels.Labels) *resource {
	job, instance := lset.Get(model.JobLabel), lset.Get(model.InstanceLabel)
	if o := b.in.Origin; o != nil {
		if job == "" {
			job = o.Job
		}
		if instance == "" {
			instance = o.Instance
		}
	}
	for _, r := range b.resources {
		if r.job == job && r.instance == instance {
			return r
		}
	}
	r := &resource{job: job, instance: instance}
	b.resources = append(b.resources, r)
	return r
}

// The labels about the scope.
const (
	scopeName    = "otel_scope_name"
	scopeVersion = "otel_scope_version"
	scopeSchema  = "otel_scope_schema_url"
)

func (r *resource) scope(lset labels.Labels) *scope {
	name, version, schema := lset.Get(scopeName), lset.Get(scopeVersion), lset.Get(scopeSchema)
	for _, s := range r.scopes {
		if s.name == name && s.version == version && s.schema == schema {
			return s
		}
	}
	s := &scope{name: name, version: version, schema: schema, families: make(map[familyKey]*family)}
	r.scopes = append(r.scopes, s)
	return s
}

// others are the labels but for the name, job and instance, and those of the scope.
func others(lset labels.Labels) (out []labels.Label) {
	lset.Range(func(l labels.Label) {
		switch l.Name {
		case labels.MetricName, model.JobLabel, model.InstanceLabel, scopeName, scopeVersion, scopeSchema:
		default:
			out = append(out, l)
		}
	})
	return out
}

func (b *batch) sample(s *pipeline.Sample) {
	lset := s.Series.Labels
	name := lset.Get(labels.MetricName)
	r := b.resource(lset)
	switch name {
	case "":
		b.dropped[noName]++
	case "target_info":
		r.info = append(r.info, others(lset)...)
	case "otel_scope_info":
		of := r.scope(lset)
		of.info = append(of.info, others(lset)...)
	default:
		of := r.scope(lset)
		if value.IsStaleNaN(s.V) && b.isNative(name) {
			b.histogram(&pipeline.HistogramSample{Series: s.Series, T: s.T, H: &histogram.Histogram{Sum: s.V}})
			return
		}
		f := b.family(of, name, false)
		if why := f.add(b.group(f, lset, s.T), name, s); why != "" {
			b.dropped[why]++
		}
	}
}

// isNative reports whether a native histogram has this name. The marker that ends its
// series is a sample like any other.
func (b *batch) isNative(name string) bool {
	if b.in.Origin == nil || b.in.Origin.Describe == nil {
		return false
	}
	m, ok := b.in.Origin.Describe(name)
	return ok && m.Type == model.MetricTypeHistogram
}

func (b *batch) histogram(h *pipeline.HistogramSample) {
	lset := h.Series.Labels
	name := lset.Get(labels.MetricName)
	if name == "" {
		b.dropped[noName]++
		return
	}
	f := b.family(b.resource(lset).scope(lset), name, true)
	g := b.group(f, lset, h.T)
	g.samples++
	g.native = h
}

// exemplar adds an exemplar to the point of its series, if that is in the batch.
func (b *batch) exemplar(x *pipeline.Exemplar) {
	lset := x.Series.Labels
	name := lset.Get(labels.MetricName)
	of := b.resource(lset).scope(lset)
	for _, native := range []bool{false, true} {
		if f := of.families[b.key(name, native).familyKey]; f != nil {
			if g := f.marked(b.hash(f, lset), x.Exemplar.Ts); g != nil {
				g.exemplars = append(g.exemplars, &x.Exemplar)
				return
			}
		}
	}
}

// metrics are the families as OTLP.
func (b *batch) metrics() pmetric.Metrics {
	md := pmetric.NewMetrics()
	for _, r := range b.resources {
		rm := pmetric.NewResourceMetrics()
		for _, s := range r.scopes {
			sm := pmetric.NewScopeMetrics()
			for _, f := range s.order {
				for why, n := range f.appendTo(sm.Metrics()) {
					b.dropped[why] += n
				}
			}
			if sm.Metrics().Len() == 0 {
				continue
			}
			s.describe(sm)
			sm.MoveTo(rm.ScopeMetrics().AppendEmpty())
		}
		if rm.ScopeMetrics().Len() == 0 {
			continue
		}
		b.describe(r, rm.Resource().Attributes())
		rm.MoveTo(md.ResourceMetrics().AppendEmpty())
	}
	return md
}

// ownScope is the scope of samples without such labels, by the name that the
// OpenTelemetry Collector's receiver has.
const ownScope = "otelcol/prometheusreceiver"

func (s *scope) describe(sm pmetric.ScopeMetrics) {
	if s.name == "" && s.version == "" && s.schema == "" {
		sm.Scope().SetName(ownScope)
		return
	}
	sm.Scope().SetName(text(s.name))
	sm.Scope().SetVersion(text(s.version))
	sm.SetSchemaUrl(text(s.schema))
	for _, l := range s.info {
		sm.Scope().Attributes().PutStr(l.Name, text(l.Value))
	}
}

func (b *batch) describe(r *resource, to pcommon.Map) {
	scheme := ""
	if b.in.Origin != nil {
		scheme = b.in.Origin.Scheme
	}
	host, port, err := net.SplitHostPort(r.instance)
	if err != nil {
		host = r.instance
	}
	to.PutStr("service.name", text(r.job))
	if tellsApart(host) {
		to.PutStr("net.host.name", text(host))
		to.PutStr("server.address", text(host))
	}
	to.PutStr("service.instance.id", text(r.instance))
	to.PutStr("net.host.port", text(port))
	to.PutStr("http.scheme", scheme)
	to.PutStr("server.port", text(port))
	to.PutStr("url.scheme", scheme)
	for _, l := range r.info {
		to.PutStr(l.Name, text(l.Value))
	}
}

// tellsApart reports whether a host name identifies a machine, unlike localhost.
func tellsApart(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return !ip.IsLoopback() && !ip.IsUnspecified()
	}
	return host != "localhost"
}

// text is a string as protobuf allows it: one with other bytes would have a
// destination reject the whole request.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
