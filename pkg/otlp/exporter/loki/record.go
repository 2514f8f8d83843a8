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

// record is a log record with what it belongs to.
type record struct {
	plog.LogRecord
	resource pcommon.Map
	scope    pcommon.InstrumentationScope

	all []labels.Label // used again for each record
	w   writer
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
	b := labels.NewScratchBuilder(len(promoted))
	for i, l := range promoted {
		name := promname.Label(l.Name)
		if !slices.ContainsFunc(promoted[i+1:], func(later labels.Label) bool { return promname.Label(later.Name) == name }) {
			b.Add(name, l.Value)
		}
	}
	b.Sort()
	return b.Labels(), line, nil
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

// labels are the labels of the entry, by the names of the attributes that they are
// made of. Of two of a name, the later one replaces the earlier.
func (r *record) labels(level string) []labels.Label {
	all := r.all[:0]
	set := func(name, value string) {
		if i := slices.IndexFunc(all, func(l labels.Label) bool { return l.Name == name }); i >= 0 {
			all[i].Value = value
			return
		}
		all = append(all, labels.Label{Name: name, Value: value})
	}
	set("exporter", "OTLP")
	if service, ok := r.resource.Get("service.name"); ok {
		job := service.AsString()
		if namespace, ok := r.resource.Get("service.namespace"); ok {
			job = namespace.AsString() + "/" + job
		}
		set(model.JobLabel, job)
	}
	if instance, ok := r.resource.Get("service.instance.id"); ok {
		set(model.InstanceLabel, instance.AsString())
	}
	promote := func(hint pcommon.Value, from pcommon.Map) {
		for _, name := range names(hint) {
			if v, ok := nested(from, name); ok {
				set(name, v.AsString())
			}
		}
	}
	if hint, ok := r.resource.Get(hintResources); ok {
		promote(hint, r.resource)
	}
	if hint, ok := r.Attributes().Get(hintResources); ok {
		promote(hint, r.resource)
	}
	hint, ok := r.Attributes().Get(hintAttributes)
	if ok {
		promote(hint, r.Attributes())
	}
	// A severity promotes the level, unless the hint is neither text nor a list.
	if r.SeverityNumber() != plog.SeverityNumberUnspecified && (!ok || hint.Type() == pcommon.ValueTypeStr || hint.Type() == pcommon.ValueTypeSlice) {
		if own, ok := r.Attributes().Get(levelName); ok {
			set(levelName, own.AsString())
		} else {
			set(levelName, level)
		}
	}
	r.all = all
	return all
}

// names are the names that a hint lists.
func names(hint pcommon.Value) []string {
	var out []string
	switch hint.Type() {
	case pcommon.ValueTypeStr:
		out = strings.Split(hint.Str(), ",")
	case pcommon.ValueTypeSlice:
		for _, v := range hint.Slice().All() {
			out = append(out, fmt.Sprint(v.AsRaw()))
		}
	default:
		out = []string{hint.AsString()}
	}
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

// nested is the attribute of that name, or the value to which its dots lead through
// maps; the longest name of a map goes first.
func nested(from pcommon.Map, name string) (pcommon.Value, bool) {
	if v, ok := from.Get(name); ok {
		return v, true
	}
	for i := strings.LastIndexByte(name, '.'); i >= 0; i = strings.LastIndexByte(name[:i], '.') {
		if v, ok := from.Get(name[:i]); ok && v.Type() == pcommon.ValueTypeMap {
			return nested(v.Map(), name[i+1:])
		}
	}
	return pcommon.Value{}, false
}

// shown reports whether an attribute is part of the line: it is no hint, and no
// label is made of one of its name.
func shown(name string, promoted []labels.Label) bool {
	switch name {
	case hintAttributes, hintResources, hintFormat, hintTenant:
		return false
	}
	return !slices.ContainsFunc(promoted, func(l labels.Label) bool { return l.Name == name })
}

// line is the text of the entry. level is an attribute that the record has besides,
// if it is not empty.
func (r *record) line(promoted []labels.Label, level string) (string, error) {
	format := "json"
	if v, ok := r.resource.Get(hintFormat); ok {
		format = v.AsString()
	} else if v, ok := r.Attributes().Get(hintFormat); ok {
		format = v.AsString()
	}
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
