package promtail

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/scanner"
	"time"

	"go.yaml.in/yaml/v3"
)

// stage is a stage that is being made.
type stage struct {
	*converter
	*fields // of its settings; nil for a stage whose settings are a list
	block   *block
	key     *yaml.Node // its name
	value   *yaml.Node // its settings; may be nil
	path    string
}

// stageKind is how a stage of Promtail's is made.
type stageKind struct {
	names []string
	block string // the name of ours, after "stage."
	list  bool   // its settings are a list
	make  func(*stage)
}

// stageKinds are all stages, by their names.
func stageKinds() []stageKind {
	return []stageKind{
		{names: []string{"cri"}, block: "cri", make: (*stage).cri},
		{names: []string{"decolorize"}, block: "decolorize", make: func(*stage) {}},
		{names: []string{"docker"}, block: "docker", make: func(*stage) {}},
		{names: []string{"drop"}, block: "drop", make: (*stage).drop},
		{names: []string{"eventlogmessage"}, block: "eventlogmessage", make: (*stage).eventLogMessage},
		{names: []string{"geoip"}, block: "geoip", make: (*stage).geoIP},
		{names: []string{"json"}, block: "json", make: (*stage).json},
		{names: []string{"labelallow"}, block: "label_keep", list: true, make: (*stage).values},
		{names: []string{"labeldrop"}, block: "label_drop", list: true, make: (*stage).values},
		{names: []string{"labels"}, block: "labels", make: (*stage).names},
		{names: []string{"limit"}, block: "limit", make: (*stage).limit},
		{names: []string{"logfmt"}, block: "logfmt", make: (*stage).logfmt},
		{names: []string{"match"}, block: "match", make: (*stage).match},
		{names: []string{"metrics"}, block: "metrics", make: (*stage).metrics},
		{names: []string{"multiline"}, block: "multiline", make: (*stage).multiline},
		{names: []string{"output"}, block: "output", make: (*stage).output},
		{names: []string{"pack"}, block: "pack", make: (*stage).pack},
		{names: []string{"regex"}, block: "regex", make: (*stage).regex},
		{names: []string{"replace"}, block: "replace", make: (*stage).replace},
		{names: []string{"sampling"}, block: "sampling", make: (*stage).sampling},
		{names: []string{"static_labels"}, block: "static_labels", make: (*stage).constants},
		{names: []string{"structured_metadata", "non_indexed_labels"}, block: "structured_metadata", make: (*stage).names},
		{names: []string{"template"}, block: "template", make: (*stage).template},
		{names: []string{"tenant"}, block: "tenant", make: (*stage).tenant},
		{names: []string{"timestamp"}, block: "timestamp", make: (*stage).timestamp},
	}
}

// needs reports settings that a stage cannot do without.
func (s *stage) needs(names ...string) {
	for _, name := range names {
		if s.take(name) == nil {
			s.fail(s.key, s.path, "%s is missing", name)
		}
	}
}

// copy sets the texts of these names under the same names.
func (s *stage) copy(names ...string) {
	for _, name := range names {
		s.block.text(s.fields, name, name)
	}
}

func (s *stage) cri() {
	s.block.whole(s.fields, "max_partial_lines", "max_partial_lines", 0)
	if size := s.bytes("max_partial_line_size"); size > 0 {
		s.block.set(s.line("max_partial_line_size"), "max_partial_line_size", strconv.FormatInt(int64(size), 10))
	}
	s.block.flag(s.fields, "max_partial_line_size_truncate", "max_partial_line_size_truncate", false)
}

func (s *stage) drop() {
	if sources := s.texts("source"); len(sources) > 0 {
		s.block.set(s.line("source"), "source", quote(strings.Join(sources, ",")))
	}
	s.copy("separator")
	s.copy("value", "expression")
	if s.has("older_than") {
		s.block.time(s.fields, "older_than", "older_than", 0)
	}
	s.block.size(s.fields, "longer_than", "longer_than")
	s.copy("drop_counter_reason")
}

func (s *stage) eventLogMessage() {
	s.copy("source")
	s.block.flag(s.fields, "drop_invalid_labels", "drop_invalid_labels", false)
	s.block.flag(s.fields, "overwrite_existing", "overwrite_existing", false)
}

func (s *stage) geoIP() {
	s.needs("db", "source")
	s.copy("db", "source", "db_type")
	s.block.pairs(s.fields, "custom_lookups", "custom_lookups")
}

func (s *stage) json() {
	s.needs("expressions")
	s.block.set(s.line("expressions"), "expressions", object(s.entries("expressions")))
	s.block.exact(s.fields, "source", "source")
	s.block.flag(s.fields, "drop_malformed", "drop_malformed", false)
}

// values are the settings of a stage that has only a list.
func (s *stage) values() {
	var values []string
	switch {
	case s.value == nil || isNull(s.value):
	case s.value.Kind == yaml.ScalarNode:
		values = []string{s.value.Value}
	default:
		for _, item := range s.items(s.value, s.path) {
			values = append(values, s.scalar(item, s.path))
		}
	}
	if len(values) == 0 {
		s.fail(s.key, s.path, "this must be a list of labels")
	}
	s.block.set(s.key.Line, "values", list(values))
}

// names are labels, or structured metadata, by what they are extracted as; an empty
// text means the same name.
func (s *stage) names() { s.block.set(s.key.Line, "values", object(s.all())) }

// constants are labels with their values; those without one have no effect.
func (s *stage) constants() {
	all := slices.DeleteFunc(s.all(), func(e entry) bool { return e.value == "" })
	s.block.set(s.key.Line, "values", object(all))
}

func (s *stage) limit() {
	s.needs("rate", "burst")
	s.block.number(s.fields, "rate", "rate")
	s.block.number(s.fields, "burst", "burst")
	s.block.flag(s.fields, "drop", "drop", false)
	s.copy("by_label_name")
	s.block.whole(s.fields, "max_distinct_labels", "max_distinct_labels", 0)
}

func (s *stage) logfmt() {
	s.needs("mapping")
	s.block.set(s.line("mapping"), "mapping", object(s.entries("mapping")))
	s.copy("source")
}

func (s *stage) match() {
	s.needs("selector")
	selector := s.text("selector")
	s.block.set(s.line("selector"), "selector", quote(doubleQuoted(selector)))
	action := s.text("action")
	if action != "" && action != "keep" {
		s.block.set(s.line("action"), "action", quote(action))
	}
	s.accept("pipeline_name")
	s.copy("drop_counter_reason")
	nested := s.take("stages")
	switch {
	case nested != nil:
		s.stages(s.block, nested, s.path)
	case action != "drop":
		s.fail(s.key, s.path, "stages are missing")
	}
}

// doubleQuoted is a selector in which texts in backquotes are in double quotes.
func doubleQuoted(selector string) string {
	if !strings.Contains(selector, "`") {
		return selector
	}
	var out strings.Builder
	var in scanner.Scanner
	in.Init(strings.NewReader(selector))
	in.Error = func(*scanner.Scanner, string) {}
	in.Whitespace = 0
	for tok := in.Scan(); tok != scanner.EOF; tok = in.Scan() {
		text := in.TokenText()
		if unquoted, err := strconv.Unquote(text); tok == scanner.RawString && err == nil {
			text = strconv.Quote(unquoted)
		}
		out.WriteString(text)
	}
	return out.String()
}

func (s *stage) multiline() {
	s.needs("firstline")
	s.copy("firstline")
	s.block.time(s.fields, "max_wait_time", "max_wait_time", 3*time.Second)
	s.block.whole(s.fields, "max_lines", "max_lines", 128)
}

func (s *stage) output() {
	s.needs("source")
	s.copy("source")
}

func (s *stage) pack() {
	s.block.set(s.line("labels"), "labels", list(s.texts("labels")))
	s.block.flag(s.fields, "ingest_timestamp", "ingest_timestamp", true)
}

func (s *stage) regex() {
	s.needs("expression")
	s.copy("expression")
	s.block.exact(s.fields, "source", "source")
}

func (s *stage) replace() {
	s.needs("expression")
	s.copy("expression", "source", "replace")
}

func (s *stage) sampling() {
	s.needs("rate")
	s.block.number(s.fields, "rate", "rate")
	s.copy("drop_counter_reason")
}

func (s *stage) template() {
	s.needs("source", "template")
	s.copy("source", "template")
}

func (s *stage) tenant() { s.copy("label", "source", "value") }

func (s *stage) timestamp() {
	s.needs("source", "format")
	s.copy("source", "format")
	s.block.texts(s.fields, "fallback_formats", "fallback_formats")
	s.copy("location")
	if action := s.text("action_on_failure"); action != "" && action != "fudge" {
		s.block.set(s.line("action_on_failure"), "action_on_failure", quote(action))
	}
}

// metricPrefix is what the names of Promtail's own metrics of lines begin with,
// and what dashboards ask for.
const metricPrefix = "promtail_custom_"

// metrics makes a metric of each name, in the order of the names.
func (s *stage) metrics() {
	byName := map[string]int{}
	for i := range s.pairs {
		s.pairs[i].used = true
		byName[s.resolve(s.pairs[i].key.Value)] = i
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		p := s.pairs[byName[name]]
		f := s.reader.fields(p.value, s.path+" > "+name)
		f.fold = true
		s.metric(name, p.key, f)
		f.rest()
	}
}

func (s *stage) metric(name string, key *yaml.Node, f *fields) {
	kind := strings.ToLower(f.plain("type"))
	if !slices.Contains([]string{"counter", "gauge", "histogram"}, kind) {
		s.fail(key, f.path, "type is %q: use counter, gauge or histogram", kind)
		return
	}
	b := s.block.add(key.Line, "metric."+kind)
	b.set(key.Line, "name", quote(name))
	b.text(f, "description", "description")
	b.text(f, "source", "source")
	prefix := f.text("prefix")
	if prefix == "" {
		prefix = metricPrefix
	}
	b.set(f.line("prefix"), "prefix", quote(prefix))
	b.time(f, "max_idle_duration", "max_idle_duration", 5*time.Minute)
	inner := f.section("config")
	inner.fold = true
	b.text(inner, "value", "value")
	switch kind {
	case "counter":
		b.flag(inner, "match_all", "match_all", false)
		b.flag(inner, "count_entry_bytes", "count_entry_bytes", false)
		fallthrough
	case "gauge":
		action := strings.ToLower(inner.plain("action"))
		if action == "" {
			s.fail(key, f.path, "config > action is missing")
		}
		b.set(inner.line("action"), "action", quote(action))
	case "histogram":
		var bounds []string
		for _, text := range inner.texts("buckets") {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || v != v {
				s.fail(inner.take("buckets"), inner.path, "%q is not a number", text)
				continue
			}
			bounds = append(bounds, decimal(v))
		}
		b.set(inner.line("buckets"), "buckets", enclose("[", bounds, "]"))
	}
	inner.rest()
}
