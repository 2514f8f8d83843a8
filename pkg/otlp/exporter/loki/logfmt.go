package loki

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/go-logfmt/logfmt"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// pairs are keys and values in turn. A key is a string, or bytes where a body was
// logfmt already: those are never replaced, as in Alloy.
type pairs []any

// logfmt is the record as logfmt.
func (r *record) logfmt(promoted []label, level string) (string, error) {
	all := ofBody(r.Body())
	if id := r.TraceID(); !id.IsEmpty() {
		all = all.with("traceID", hex.EncodeToString(id[:]))
	}
	if id := r.SpanID(); !id.IsEmpty() {
		all = all.with("spanID", hex.EncodeToString(id[:]))
	}
	if r.SeverityText() != "" {
		all = all.with("severity", r.SeverityText())
	}
	if r.Flags() != 0 {
		all = all.with("flags", uint32(r.Flags()))
	}
	for name, v := range r.Attributes().All() {
		if shown(name, promoted) {
			all = all.flat("attribute_"+name, v)
		}
	}
	if level != "" && shown(levelName, promoted) {
		all = append(all, "attribute_"+levelName, level)
	}
	resource, err := r.resourceKeys(promoted)
	if err != nil {
		return "", err
	}
	var scope pairs
	if name := r.scope.Name(); name != "" {
		scope = append(scope, "instrumentation_scope_name", name)
		if version := r.scope.Version(); version != "" {
			scope = append(scope, "instrumentation_scope_version", version)
		}
		for name, v := range r.scope.Attributes().All() {
			scope = scope.flat("instrumentation_scope_attribute_"+name, v)
		}
	}
	line, err := logfmt.MarshalKeyvals(all...)
	if err != nil {
		return "", err
	}
	end, err := logfmt.MarshalKeyvals(scope...)
	return string(joined(joined(line, resource), end)), err
}

// resourceKeys are the attributes of the resource.
func (r *record) resourceKeys(promoted []label) ([]byte, error) {
	p := &r.asKeys
	if !p.isOf(promoted) {
		var all pairs
		for name, v := range r.resource.All() {
			if shown(name, promoted) {
				all = all.flat("resource_"+name, v)
			}
		}
		p.text, p.err = logfmt.MarshalKeyvals(all...)
	}
	return p.text, p.err
}

// joined appends more pairs to a line.
func joined(line, more []byte) []byte {
	if len(line) > 0 && len(more) > 0 {
		line = append(line, ' ')
	}
	return append(line, more...)
}

// ofBody is a body as pairs: a text that is logfmt is read again.
func ofBody(body pcommon.Value) pairs {
	switch body.Type() {
	case pcommon.ValueTypeEmpty:
		return nil
	case pcommon.ValueTypeStr:
		var all pairs
		d := logfmt.NewDecoder(strings.NewReader(body.Str()))
		d.ScanRecord()
		for d.ScanKeyval() {
			all = append(all, d.Key(), d.Value())
		}
		if d.Err() != nil {
			return pairs{"msg", body.Str()}
		}
		return all
	case pcommon.ValueTypeMap:
		return pairs(nil).flat("", body)
	case pcommon.ValueTypeSlice:
		return pairs(nil).flat("body", body)
	}
	return pairs{"msg", body.AsRaw()}
}

// with replaces the value of a key, or adds both.
func (p pairs) with(key string, value any) pairs {
	for i := 0; i < len(p); i += 2 {
		if p[i] == key {
			p[i+1] = value
			return p
		}
	}
	return append(p, key, value)
}

// flat adds a value; the keys of what is in it are joined by underscores.
func (p pairs) flat(key string, v pcommon.Value) pairs {
	within := key
	if key != "" {
		within += "_"
	}
	switch v.Type() {
	case pcommon.ValueTypeEmpty:
		return p
	case pcommon.ValueTypeMap:
		for name, member := range v.Map().All() {
			p = p.flat(within+name, member)
		}
		return p
	case pcommon.ValueTypeSlice:
		for i, element := range v.Slice().All() {
			p = p.flat(within+strconv.Itoa(i), element)
		}
		return p
	}
	return append(p, key, v.AsRaw())
}
