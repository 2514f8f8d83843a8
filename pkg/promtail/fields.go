package promtail

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"collector/pkg/component"
)

// fields are the pairs of a mapping. What is taken is used; rest reports what was
// not.
type fields struct {
	r     *reader
	node  *yaml.Node
	path  string // where the mapping is, in words
	fold  bool   // names are found whatever their case is, as in stages
	pairs []pair
	done  []string // names that were used or reported
}

type pair struct {
	key   *yaml.Node
	value *yaml.Node // resolved
	used  bool
}

// fields reads n, which may be missing, as a mapping.
func (r *reader) fields(n *yaml.Node, path string) *fields {
	n = resolved(n)
	f := &fields{r: r, node: n, path: path}
	switch {
	case isNull(n):
	case n.Kind != yaml.MappingNode:
		r.fail(n, path, "this must be a mapping of names to values")
	default:
		f.read(n, false)
	}
	return f
}

func (f *fields) read(n *yaml.Node, merged bool) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolved(n.Content[i]), resolved(n.Content[i+1])
		if key.Tag == "!!merge" {
			f.merge(value)
			continue
		}
		if at := f.index(key.Value, false); at >= 0 && key.Kind == yaml.ScalarNode {
			switch {
			case !merged && f.pairs[at].used: // of a merge before it
				f.pairs[at] = pair{key: key, value: value}
			case !merged:
				f.r.fail(key, f.path, "%s is set more than once; the first is in line %d", key.Value, f.pairs[at].key.Line)
			}
			continue
		}
		f.pairs = append(f.pairs, pair{key: key, value: value, used: merged})
	}
}

// merge adds what << brings. Such pairs give way to others until the mapping is
// read; they are marked as used, as they may say more than is needed here.
func (f *fields) merge(n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		f.read(n, true)
	case yaml.SequenceNode:
		for _, part := range n.Content {
			if part = resolved(part); part.Kind == yaml.MappingNode {
				f.read(part, true)
			}
		}
	}
}

func (f *fields) index(name string, fold bool) int {
	return slices.IndexFunc(f.pairs, func(p pair) bool {
		return p.key.Value == name || fold && strings.EqualFold(p.key.Value, name)
	})
}

// at is where a message about a name belongs.
func (f *fields) at(name string) string {
	if f.path == "" {
		return name
	}
	return f.path + " > " + name
}

// take returns the value of a name, or nil if it has none.
func (f *fields) take(name string) *yaml.Node {
	i := f.index(name, f.fold)
	if i < 0 {
		return nil
	}
	f.pairs[i].used = true
	if isNull(f.pairs[i].value) {
		return nil
	}
	return f.pairs[i].value
}

// has reports whether a name is there, perhaps without a value.
func (f *fields) has(name string) bool { return f.index(name, f.fold) >= 0 }

// key is the node of a name, or the mapping's own.
func (f *fields) key(name string) *yaml.Node {
	if i := f.index(name, f.fold); i >= 0 {
		return f.pairs[i].key
	}
	return f.node
}

// line is where a name is written, or the mapping.
func (f *fields) line(name string) int {
	if n := f.key(name); n != nil {
		return n.Line
	}
	return 0
}

// ignore takes names that have no effect here, and says why to those who set them.
func (f *fields) ignore(why string, names ...string) {
	for _, name := range names {
		if n := f.take(name); n != nil {
			f.r.warn(f.key(name), f.path, "%s has no effect: %s", name, why)
		}
	}
}

// accept takes names that need no message: they ask for what is done anyway.
func (f *fields) accept(names ...string) {
	for _, name := range names {
		f.take(name)
	}
}

// rest reports the names that nobody took. Promtail rejects them, except in stages, where
// it ignores them.
func (f *fields) rest(known ...string) {
	for _, p := range f.pairs {
		switch {
		case p.used:
		case f.fold:
			f.r.warn(p.key, f.path, "%s is unknown and has no effect, as in Promtail", p.key.Value)
		default:
			hint := ""
			if len(known) > 0 {
				hint = "; known: " + strings.Join(known, ", ")
			}
			f.r.fail(p.key, f.path, "%s is unknown%s", p.key.Value, hint)
		}
	}
}

// text is a scalar as it is written, with variables that are kept.
func (f *fields) text(name string) string {
	n := f.take(name)
	if n == nil {
		return ""
	}
	return f.r.scalar(n, f.at(name))
}

func (r *reader) scalar(n *yaml.Node, path string) string {
	if n.Kind != yaml.ScalarNode {
		r.fail(n, path, "this must be a single value")
		return ""
	}
	if n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

// plain is a scalar whose value is needed now.
func (f *fields) plain(name string) string { return f.r.resolve(f.text(name)) }

// switches are what YAML 1.1, which Promtail reads, has for true and false.
var switches = map[string]bool{
	"true": true, "yes": true, "on": true, "y": true, "false": false, "no": false, "off": false, "n": false,
}

func (f *fields) flag(name string, unset bool) bool {
	text := f.plain(name)
	if text == "" {
		return unset
	}
	value, ok := switches[strings.ToLower(text)]
	if !ok {
		f.r.fail(f.take(name), f.at(name), "%q must be true or false", text)
	}
	return value
}

func (f *fields) integer(name string, unset int) int {
	text := f.plain(name)
	if text == "" {
		return unset
	}
	value, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 0, 64)
	if err != nil {
		f.r.fail(f.take(name), f.at(name), "%q must be a whole number", text)
		return unset
	}
	return int(value)
}

func (f *fields) number(name string, unset float64) float64 {
	text := f.plain(name)
	if text == "" {
		return unset
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || value != value {
		f.r.fail(f.take(name), f.at(name), "%q must be a number", text)
		return unset
	}
	return value
}

var daysOrMore = regexp.MustCompile(`^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(.*)$`)

// parseDuration reads what Go and Prometheus write: 1h30m, 7d.
func parseDuration(text string) (time.Duration, bool) {
	m := daysOrMore.FindStringSubmatch(text)
	var total time.Duration
	for i, unit := range []time.Duration{365 * 24 * time.Hour, 7 * 24 * time.Hour, 24 * time.Hour} {
		if m[i+1] == "" {
			continue
		}
		n, err := strconv.ParseInt(m[i+1], 10, 32)
		if err != nil || n > int64(100*365*24*time.Hour/unit) {
			return 0, false
		}
		total += time.Duration(n) * unit
		if total < 0 {
			return 0, false // it does not fit
		}
	}
	if m[4] == "" {
		return total, text != ""
	}
	rest, err := time.ParseDuration(m[4])
	sum := total + rest
	return sum, err == nil && (rest < 0 || sum >= total)
}

func (f *fields) duration(name string, unset time.Duration) time.Duration {
	text := f.plain(name)
	if text == "" {
		return unset
	}
	value, ok := parseDuration(text)
	if ns, err := strconv.ParseInt(text, 10, 64); err == nil && f.take(name).Tag == "!!int" {
		value, ok = time.Duration(ns), true
	}
	if !ok {
		f.r.fail(f.take(name), f.at(name), "%q must be a duration, such as 10s", text)
		return unset
	}
	return value
}

// bytes reads a size such as 256kb, whose units are powers of 1,024.
func (f *fields) bytes(name string) component.Bytes {
	text := f.plain(name)
	if text == "" {
		return 0
	}
	if size, ok := parseBytes(text); ok {
		return size
	}
	f.r.fail(f.take(name), f.at(name), "%q must be a size, such as 256kb", text)
	return 0
}

func parseBytes(text string) (component.Bytes, bool) {
	text = strings.ToUpper(strings.ReplaceAll(text, " ", ""))
	digits := strings.TrimRight(text, "BKMGTPEI")
	unit := strings.TrimSuffix(strings.TrimSuffix(text[len(digits):], "B"), "I")
	value, err := strconv.ParseUint(digits, 10, 50)
	shift := strings.Index("KMGT", unit)
	if err != nil || shift < 0 || len(unit) > 1 {
		return 0, false
	}
	bits := 0
	if unit != "" {
		bits = 10 * (shift + 1)
	}
	return component.Bytes(value << bits), value < 1<<(50-bits)
}

// texts is a list of scalars; one alone is a list of it.
func (f *fields) texts(name string) []string {
	n := f.take(name)
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		return []string{f.r.scalar(n, f.at(name))}
	}
	var out []string
	for _, item := range f.r.items(n, f.at(name)) {
		out = append(out, f.r.scalar(item, f.at(name)))
	}
	return out
}

// items are the elements of a list.
func (r *reader) items(n *yaml.Node, path string) []*yaml.Node {
	n = resolved(n)
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.fail(n, path, "this must be a list")
		return nil
	}
	var out []*yaml.Node
	for _, item := range n.Content {
		out = append(out, resolved(item))
	}
	return out
}

// list are the elements of a name's value.
func (f *fields) list(name string) []*yaml.Node { return f.r.items(f.take(name), f.at(name)) }

// section is the mapping of a name.
func (f *fields) section(name string) *fields { return f.r.fields(f.take(name), f.at(name)) }

// entry is a name with a text.
type entry struct{ name, value string }

// entries are the pairs of a mapping of names to texts, sorted by name; null is an
// empty text.
func (f *fields) entries(name string) []entry { return f.section(name).all() }

func (f *fields) all() []entry {
	values := map[string]string{}
	for i := range f.pairs {
		p := &f.pairs[i]
		p.used = true
		name := f.r.resolve(f.r.scalar(p.key, f.path))
		if !plainName(name) {
			f.r.fail(p.key, f.path, "%q has characters that a name cannot have", name)
		}
		values[name] = f.r.scalar(p.value, f.at(p.key.Value))
	}
	var out []entry
	for _, name := range slices.Sorted(maps.Keys(values)) {
		out = append(out, entry{name, values[name]})
	}
	return out
}

// plainName reports whether a name can be written between quotes as it is.
func plainName(name string) bool { return strconv.Quote(name) == `"`+name+`"` }
