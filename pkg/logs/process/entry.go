package process

import (
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
)

// Entry is a log entry on its way through the stages. It is valid only during the
// call that is given it: whoever keeps something of it keeps strings, Labels.Held
// or Extracted.Clone.
type Entry struct {
	Labels    Labels
	Time      time.Time
	Line      string
	Metadata  labels.Labels
	Extracted Extracted
	// Now is when it came, for deciding what is due; what comes out doesn't
	// depend on it.
	Now time.Time
}

// begin makes e the entry in, as it enters a pipeline: what is extracted are its
// labels.
func (e *Entry) begin(stream labels.Labels, in *pipeline.Entry, now time.Time) {
	e.Labels.reset(stream)
	e.Extracted.reset(stream)
	e.Time, e.Line, e.Metadata, e.Now = in.Time, in.Line, in.Metadata, now
}

// Labels are the labels of an entry: those of its stream until a stage changes
// them.
type Labels struct {
	stream  labels.Labels
	pairs   []labels.Label // sorted by name; in force if changed
	changed bool
}

func (l *Labels) reset(stream labels.Labels) { l.stream, l.changed = stream, false }

// change makes the labels ones that can be changed.
func (l *Labels) change() {
	if l.changed {
		return
	}
	l.changed, l.pairs = true, l.pairs[:0]
	l.stream.Range(func(p labels.Label) { l.pairs = append(l.pairs, p) })
}

func (l *Labels) find(name string) (int, bool) {
	return slices.BinarySearchFunc(l.pairs, name, func(p labels.Label, name string) int {
		switch {
		case p.Name < name:
			return -1
		case p.Name > name:
			return 1
		}
		return 0
	})
}

// Get returns the value of a label, and whether there is one.
func (l *Labels) Get(name string) (string, bool) {
	if !l.changed {
		value := l.stream.Get(name)
		return value, value != "" || l.stream.Has(name)
	}
	if i, ok := l.find(name); ok {
		return l.pairs[i].Value, true
	}
	return "", false
}

// Set sets a label, whose value may be empty.
func (l *Labels) Set(name, value string) {
	if old, ok := l.Get(name); ok && old == value {
		return
	}
	l.change()
	i, ok := l.find(name)
	if ok {
		l.pairs[i].Value = value
		return
	}
	l.pairs = slices.Insert(l.pairs, i, labels.Label{Name: name, Value: value})
}

// Delete removes a label.
func (l *Labels) Delete(name string) {
	if _, ok := l.Get(name); !ok {
		return
	}
	l.change()
	if i, ok := l.find(name); ok {
		l.pairs = slices.Delete(l.pairs, i, i+1)
	}
}

// Keep removes the labels for which f returns false.
func (l *Labels) Keep(f func(name string) bool) {
	l.change()
	l.pairs = slices.DeleteFunc(l.pairs, func(p labels.Label) bool { return !f(p.Name) })
}

// Range calls f for each label, in the order of names. f must not change l.
func (l *Labels) Range(f func(labels.Label)) {
	if !l.changed {
		l.stream.Range(f)
		return
	}
	for _, p := range l.pairs {
		f(p)
	}
}

// appendKey appends what distinguishes the labels from others.
func (l *Labels) appendKey(buf []byte) []byte {
	if !l.changed {
		l.stream.Range(func(p labels.Label) { buf = appendText(appendText(buf, p.Name), p.Value) })
		return buf
	}
	for _, p := range l.pairs {
		buf = appendText(appendText(buf, p.Name), p.Value)
	}
	return buf
}

// maxInterned bounds the label sets that a Cache remembers.
const maxInterned = 4096

// Cache remembers label sets that were made before, so that the entries of a
// stream share one.
type Cache struct {
	sets    map[string]labels.Labels // by names and values
	key     []byte
	builder labels.ScratchBuilder
}

// Held returns the labels as they are now, for keeping.
func (l *Labels) Held(c *Cache) labels.Labels {
	if !l.changed {
		return l.stream
	}
	c.key = l.appendKey(c.key[:0])
	if set, ok := c.sets[string(c.key)]; ok {
		return set
	}
	c.builder.Reset()
	for _, p := range l.pairs {
		c.builder.Add(p.Name, p.Value)
	}
	set := c.builder.Labels()
	if len(c.sets) >= maxInterned || c.sets == nil {
		c.sets = make(map[string]labels.Labels)
	}
	c.sets[string(c.key)] = set
	return set
}

// Value is what a stage extracted.
type Value struct {
	kind   valueKind
	text   string
	number float64 // also of a bool: 0 or 1
}

type valueKind byte

const (
	kindNull valueKind = iota // also of values that are no text
	kindText
	kindNumber
	kindBool
	kindDeleted // the value does not exist, even if there was a label of its name
)

// Text, Number, Bool and Null make values.
func Text(s string) Value    { return Value{kind: kindText, text: s} }
func Number(f float64) Value { return Value{kind: kindNumber, number: f} }
func Null() Value            { return Value{} }

// Bool makes a value of a bool.
func Bool(b bool) Value {
	v := Value{kind: kindBool}
	if b {
		v.number = 1
	}
	return v
}

// String returns the value as text; ok is false for a null.
func (v Value) String() (s string, ok bool) {
	switch v.kind {
	case kindText:
		return v.text, true
	case kindNumber:
		return strconv.FormatFloat(v.number, 'f', -1, 64), true
	case kindBool:
		return strconv.FormatBool(v.number != 0), true
	}
	return "", false
}

// Float returns the value as a number; a text may be a number or a duration,
// which counts in seconds.
func (v Value) Float() (f float64, ok bool) {
	switch v.kind {
	case kindNumber, kindBool:
		return v.number, true
	case kindText:
		if f, err := strconv.ParseFloat(v.text, 64); err == nil {
			return f, true
		}
		if d, err := time.ParseDuration(v.text); err == nil {
			return d.Seconds(), true
		}
	}
	return 0, false
}

// indexAbove is the number of values from which on they are found by an index.
const indexAbove = 32

// Extracted are the values that stages took from an entry, and the labels that it
// had when it came.
type Extracted struct {
	initial labels.Labels
	fields  []field
	index   map[string]int // of fields, if there are more than indexAbove
}

type field struct {
	name  string
	value Value
}

func (x *Extracted) reset(initial labels.Labels) {
	clear(x.fields)
	x.initial, x.fields, x.index = initial, x.fields[:0], nil
}

func (x *Extracted) find(name string) int {
	if x.index != nil {
		if i, ok := x.index[name]; ok {
			return i
		}
		return -1
	}
	for i := range x.fields {
		if x.fields[i].name == name {
			return i
		}
	}
	return -1
}

// Get returns a value, and whether there is one.
func (x *Extracted) Get(name string) (Value, bool) {
	if i := x.find(name); i >= 0 {
		v := x.fields[i].value
		return v, v.kind != kindDeleted
	}
	if v := x.initial.Get(name); v != "" || x.initial.Has(name) {
		return Text(v), true
	}
	return Value{}, false
}

// Text returns a value as text; ok is false if there is none, or a null.
func (x *Extracted) Text(name string) (text string, ok bool) {
	v, ok := x.Get(name)
	if !ok {
		return "", false
	}
	return v.String()
}

// Set sets a value.
func (x *Extracted) Set(name string, v Value) {
	if i := x.find(name); i >= 0 {
		x.fields[i].value = v
		return
	}
	x.fields = append(x.fields, field{name, v})
	switch n := len(x.fields); {
	case x.index != nil:
		x.index[name] = n - 1
	case n > indexAbove:
		x.index = make(map[string]int, 2*n)
		for i := range x.fields {
			x.index[x.fields[i].name] = i
		}
	}
}

// Delete removes a value.
func (x *Extracted) Delete(name string) {
	if _, ok := x.Get(name); ok {
		x.Set(name, Value{kind: kindDeleted})
	}
}

// Range calls f for each value. f must not change x.
func (x *Extracted) Range(f func(name string, v Value)) {
	x.initial.Range(func(l labels.Label) {
		if x.find(l.Name) < 0 {
			f(l.Name, Text(l.Value))
		}
	})
	for i := range x.fields {
		if x.fields[i].value.kind != kindDeleted {
			f(x.fields[i].name, x.fields[i].value)
		}
	}
}

// seed adds the labels that an entry has where a pipeline within begins.
func (x *Extracted) seed(l *Labels) {
	l.Range(func(p labels.Label) {
		if v, ok := x.Get(p.Name); !ok || v != Text(p.Value) {
			x.Set(p.Name, Text(p.Value))
		}
	})
}

// Clone returns a copy that may be kept.
func (x *Extracted) Clone() Extracted {
	out := Extracted{initial: x.initial, fields: slices.Clone(x.fields)}
	if x.index != nil {
		out.reindex()
	}
	return out
}

func (x *Extracted) reindex() {
	x.index = make(map[string]int, len(x.fields))
	for i := range x.fields {
		x.index[x.fields[i].name] = i
	}
}

// copyFrom makes x what from is; what x changes isn't changed in from.
func (x *Extracted) copyFrom(from *Extracted) {
	x.reset(from.initial)
	x.fields = append(x.fields, from.fields...)
	if len(x.fields) > indexAbove {
		x.reindex()
	}
}

// only reports whether x is nothing but these labels.
func (x *Extracted) only(stream labels.Labels) bool {
	return len(x.fields) == 0 && labels.Equal(x.initial, stream)
}
