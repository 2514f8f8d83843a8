package loki

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// json is the record as an object, with the names of its members in the order that
// Alloy gives them.
func (r *record) json(promoted []label, level string) (string, error) {
	w := &r.w
	w.text, w.err = append(w.text[:0], '{'), nil
	if r.Body().Type() != pcommon.ValueTypeEmpty {
		w.name("body")
		w.value(r.Body())
	}
	if id := r.TraceID(); !id.IsEmpty() {
		w.name("traceid")
		w.string(hex.EncodeToString(id[:]))
	}
	if id := r.SpanID(); !id.IsEmpty() {
		w.name("spanid")
		w.string(hex.EncodeToString(id[:]))
	}
	if r.SeverityText() != "" {
		w.name("severity")
		w.string(r.SeverityText())
	}
	if r.Flags() != 0 {
		w.name("flags")
		w.text = strconv.AppendUint(w.text, uint64(r.Flags()), 10)
	}
	attributes := members(r.Attributes(), promoted)
	if level != "" && shown(levelName, promoted) {
		attributes = append(attributes, member{levelName, pcommon.NewValueStr(level)})
	}
	w.object("attributes", attributes)
	if text := r.resourceJSON(promoted); len(text) > 0 {
		w.name("resources")
		w.text = append(w.text, text...)
	}
	if name := r.scope.Name(); name != "" {
		w.name("instrumentation_scope")
		w.text = append(w.text, '{')
		w.name("name")
		w.string(name)
		if version := r.scope.Version(); version != "" {
			w.name("version")
			w.string(version)
		}
		w.object("attributes", members(r.scope.Attributes(), nil))
		w.text = append(w.text, '}')
	}
	w.text = append(w.text, '}')
	return string(w.text), w.err
}

// resourceJSON is the object of the resource's attributes; empty if it shows none.
func (r *record) resourceJSON(promoted []label) []byte {
	p := &r.asJSON
	if !p.isOf(promoted) {
		w := writer{text: p.text[:0]}
		if all := members(r.resource, promoted); len(all) > 0 {
			w.members(all)
		}
		p.text, p.err = w.text, w.err
	}
	if p.err != nil {
		r.w.err = p.err
	}
	return p.text
}

// member is an element of an object.
type member struct {
	name  string
	value pcommon.Value
}

// members are the attributes that the line shows; all, if promoted is nil.
func members(attributes pcommon.Map, promoted []label) []member {
	all := make([]member, 0, attributes.Len())
	for name, v := range attributes.All() {
		if promoted == nil || shown(name, promoted) {
			all = append(all, member{name, v})
		}
	}
	return all
}

// writer writes JSON as encoding/json has it. err is what cannot be written.
type writer struct {
	text []byte
	err  error
}

// name writes the name of a member, behind a comma if it is not the first.
func (w *writer) name(name string) {
	if last := w.text[len(w.text)-1]; last != '{' {
		w.text = append(w.text, ',')
	}
	w.string(name)
	w.text = append(w.text, ':')
}

// object writes a member that is an object, if that is not empty.
func (w *writer) object(name string, all []member) {
	if len(all) > 0 {
		w.name(name)
		w.members(all)
	}
}

// members writes an object, in the order of the names; of two of a name, the later.
func (w *writer) members(all []member) {
	slices.SortStableFunc(all, func(a, b member) int {
		switch {
		case a.name < b.name:
			return -1
		case a.name > b.name:
			return 1
		}
		return 0
	})
	w.text = append(w.text, '{')
	for i, m := range all {
		if i+1 < len(all) && all[i+1].name == m.name {
			continue
		}
		w.name(m.name)
		w.value(m.value)
	}
	w.text = append(w.text, '}')
}

func (w *writer) value(v pcommon.Value) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		w.string(v.Str())
	case pcommon.ValueTypeBool:
		w.text = strconv.AppendBool(w.text, v.Bool())
	case pcommon.ValueTypeInt:
		w.text = strconv.AppendInt(w.text, v.Int(), 10)
	case pcommon.ValueTypeDouble:
		w.marshal(v.Double())
	case pcommon.ValueTypeBytes:
		if v.Bytes().Len() == 0 {
			w.text = append(w.text, "null"...) // as encoding/json has it
			return
		}
		w.text = append(w.text, '"')
		w.text = base64.StdEncoding.AppendEncode(w.text, v.Bytes().AsRaw())
		w.text = append(w.text, '"')
	case pcommon.ValueTypeMap:
		w.members(members(v.Map(), nil))
	case pcommon.ValueTypeSlice:
		w.text = append(w.text, '[')
		for i, element := range v.Slice().All() {
			if i > 0 {
				w.text = append(w.text, ',')
			}
			w.value(element)
		}
		w.text = append(w.text, ']')
	default:
		w.text = append(w.text, "null"...)
	}
}

func (w *writer) string(text string) {
	if !plain(text) {
		w.marshal(text)
		return
	}
	w.text = append(w.text, '"')
	w.text = append(w.text, text...)
	w.text = append(w.text, '"')
}

// plain reports whether a string in JSON is the text itself in quotes.
func plain(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c >= 0x7f, c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

func (w *writer) marshal(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		w.err = err
		text = []byte("null")
	}
	w.text = append(w.text, text...)
}
