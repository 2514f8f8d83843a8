package loki

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"collector/pkg/otlp/promname"
)

// The attributes that say how a record becomes an entry. They are not part of the
// line.
const (
	hintAttributes = "loki.attribute.labels" // which of the record's attributes are labels
	hintResources  = "loki.resource.labels"  // which of the resource's are
	hintFormat     = "loki.format"           // of the line
	hintTenant     = "loki.tenant"           // without effect
)

// levelName is the attribute, and the label, that a severity number becomes.
const levelName = "level"

// What a hint may hold. Names beyond are ignored, and those with more dots lead into no
// map.
const (
	maxNames = 100
	maxDots  = 16
)

// label is a label, and the attribute that it is made of.
type label struct{ from, name, value string }

// record is a log record with what it belongs to. It is used for one after another.
type record struct {
	plog.LogRecord
	resource pcommon.Map
	scope    pcommon.InstrumentationScope

	// Of the resource:
	base   []label                  // the labels that all of its records have
	format string                   // of the lines
	says   bool                     // what the format is
	index  map[string]pcommon.Value // its attributes, once a record's hint asks for them
	asJSON part
	asKeys part // logfmt

	all  []label // used again for each record
	w    writer
	last []label // of the record before, and what was made of them
	lset labels.Labels
}

// part is the part of lines that has the attributes of the resource. It is the same for
// records whose labels are made of the same attributes.
type part struct {
	made bool
	of   []string // those attributes
	text []byte
	err  error
}

// isOf reports whether the part is made for such labels; if not, the caller makes it.
func (p *part) isOf(promoted []label) bool {
	if p.made && slices.EqualFunc(p.of, promoted, func(from string, l label) bool { return from == l.from }) {
		return true
	}
	p.made, p.of = true, p.of[:0]
	for _, l := range promoted {
		p.of = append(p.of, l.from)
	}
	return false
}

// of begins the records of a resource.
func (r *record) of(resource pcommon.Map) {
	r.resource, r.index = resource, nil
	r.asJSON.made, r.asKeys.made = false, false
	format, says := resource.Get(hintFormat)
	if r.format, r.says = "json", says; says {
		r.format = format.AsString()
	}
	r.base = append(r.base[:0], label{"exporter", "exporter", "OTLP"})
	if service, ok := resource.Get("service.name"); ok {
		job := service.AsString()
		if namespace, ok := resource.Get("service.namespace"); ok {
			job = namespace.AsString() + "/" + job
		}
		r.base = set(r.base, model.JobLabel, job)
	}
	if instance, ok := resource.Get("service.instance.id"); ok {
		r.base = set(r.base, model.InstanceLabel, instance.AsString())
	}
	if hint, ok := resource.Get(hintResources); ok {
		r.base = promote(r.base, hint, r.ofResource)
	}
}

// ofResource is an attribute of the resource, which may have many.
func (r *record) ofResource(name string) (pcommon.Value, bool) {
	if r.index == nil {
		r.index = make(map[string]pcommon.Value, r.resource.Len())
		for name, v := range r.resource.All() {
			if _, twice := r.index[name]; !twice {
				r.index[name] = v
			}
		}
	}
	v, ok := r.index[name]
	return v, ok
}

// time is when the record was made, or else observed, or else now.
func (r *record) time(now time.Time) time.Time {
	switch {
	case r.Timestamp() != 0:
		return time.Unix(0, int64(r.Timestamp()))
	case r.ObservedTimestamp() != 0:
		return time.Unix(0, int64(r.ObservedTimestamp()))
	}
	return now
}

// entry is the record as an entry.
func (r *record) entry() (labels.Labels, string, error) {
	level := r.level()
	promoted := r.labels(level)
	line, err := r.line(promoted, level)
	if err != nil {
		return labels.EmptyLabels(), "", err
	}
	if !slices.Equal(promoted, r.last) {
		r.last = append(r.last[:0], promoted...)
		r.lset = merged(promoted)
	}
	return r.lset, line, nil
}

// merged are the labels; of two of a name, the later one.
func merged(promoted []label) labels.Labels {
	b := labels.NewScratchBuilder(len(promoted))
	for i, l := range promoted {
		if !slices.ContainsFunc(promoted[i+1:], func(later label) bool { return later.name == l.name }) {
			b.Add(l.name, l.value)
		}
	}
	b.Sort()
	return b.Labels()
}

// level is the attribute level that the severity number adds; "" for none.
func (r *record) level() string {
	n := r.SeverityNumber()
	if n == plog.SeverityNumberUnspecified {
		return ""
	}
	if _, own := r.Attributes().Get(levelName); own {
		return ""
	}
	if n < plog.SeverityNumberTrace || n > plog.SeverityNumberFatal4 {
		return ""
	}
	return strings.ToUpper(n.String())
}

// labels are the labels of the entry, with the attributes that they are made of.
func (r *record) labels(level string) []label {
	all := append(r.all[:0], r.base...)
	if hint, ok := r.Attributes().Get(hintResources); ok {
		all = promote(all, hint, r.ofResource)
	}
	hint, ok := r.Attributes().Get(hintAttributes)
	if ok {
		all = promote(all, hint, r.Attributes().Get)
	}
	// A severity promotes the level, unless the hint is neither text nor a list.
	if r.SeverityNumber() != plog.SeverityNumberUnspecified && (!ok || hint.Type() == pcommon.ValueTypeStr || hint.Type() == pcommon.ValueTypeSlice) {
		if own, ok := r.Attributes().Get(levelName); ok {
			level = own.AsString()
		}
		all = set(all, levelName, level)
	}
	r.all = all
	return all
}

// set adds a label that is made of an attribute. Of two of a name, the later one replaces
// the earlier.
func set(all []label, from, value string) []label {
	if i := slices.IndexFunc(all, func(l label) bool { return l.from == from }); i >= 0 {
		all[i].value = value
		return all
	}
	return append(all, label{from, promname.Label(from), value})
}

// promote adds labels of the attributes that a hint names.
func promote(all []label, hint pcommon.Value, get func(string) (pcommon.Value, bool)) []label {
	for _, name := range names(hint) {
		if v, ok := nested(get, name); ok {
			all = set(all, name, v.AsString())
		}
	}
	return all
}

// names are the names that a hint lists, without empty and repeated ones; at most
// maxNames.
func names(hint pcommon.Value) (out []string) {
	add := func(name string) (more bool) {
		if name = strings.TrimSpace(name); name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
		return len(out) < maxNames
	}
	switch hint.Type() {
	case pcommon.ValueTypeStr:
		for name := range strings.SplitSeq(hint.Str(), ",") {
			if !add(name) {
				break
			}
		}
	case pcommon.ValueTypeSlice:
		for _, v := range hint.Slice().All() {
			if !add(fmt.Sprint(v.AsRaw())) {
				break
			}
		}
	default:
		add(hint.AsString())
	}
	return out
}

// nested is the attribute of that name, or the value to which its dots lead through
// maps; the longest name of a map goes first.
func nested(get func(string) (pcommon.Value, bool), name string) (pcommon.Value, bool) {
	if v, ok := get(name); ok {
		return v, true
	}
	if strings.Count(name, ".") > maxDots {
		return pcommon.Value{}, false
	}
	for i := strings.LastIndexByte(name, '.'); i >= 0; i = strings.LastIndexByte(name[:i], '.') {
		if v, ok := get(name[:i]); ok && v.Type() == pcommon.ValueTypeMap {
			return nested(v.Map().Get, name[i+1:])
		}
	}
	return pcommon.Value{}, false
}

// shown reports whether an attribute is part of the line: it is no hint, and no
// label is made of one of its name.
func shown(name string, promoted []label) bool {
	switch name {
	case hintAttributes, hintResources, hintFormat, hintTenant:
		return false
	}
	return !slices.ContainsFunc(promoted, func(l label) bool { return l.from == name })
}

// line is the text of the entry. level is an attribute that the record has besides,
// if it is not empty.
func (r *record) line(promoted []label, level string) (string, error) {
	format := r.format
	if v, ok := r.Attributes().Get(hintFormat); ok && !r.says {
		format = v.AsString()
	}
	r.w.text = r.w.text[:0]
	switch format {
	case "json":
		return r.json(promoted, level)
	case "logfmt":
		return r.logfmt(promoted, level)
	case "raw":
		return r.Body().AsString(), nil
	}
	return "", fmt.Errorf("%s is %.40q: use json, logfmt or raw", hintFormat, format)
}
