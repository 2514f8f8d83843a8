package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/mask"
	"collector/pkg/suggest"
)

// module represents the component of a custom component and of the language's own
// blocks: what they consist of runs on its own.
type module struct{}

func (module) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// maxWithin bounds how deep declarations and imports nest.
const maxWithin = 50

// enter returns what a module within s is inside of, and reports a cycle, or modules that
// nest without end, at a block.
func (s *scope) enter(block *config.Block, around []enclosing, next enclosing) ([]enclosing, bool) {
	for i, e := range around {
		if e.key != next.key {
			continue
		}
		var circle []string
		for _, e := range append(slices.Clone(around[i:]), next) {
			circle = append(circle, e.name)
		}
		s.report(block.At, "", "%s contains itself: %s", next.name, strings.Join(circle, " → "))
		return nil, false
	}
	if len(around) >= maxWithin {
		s.report(block.At, "", "modules are nested more than %d deep", maxWithin)
		return nil, false
	}
	return append(slices.Clone(around), next), true
}

// instance builds a custom component: the node that represents it, and all that
// it consists of.
func (s *scope) instance(block *config.Block) {
	id := block.ID()
	d, broken := s.names.find(block.Name)
	if d == nil {
		s.failed[id] = true
		if !broken {
			s.report(block.At, strings.Join(s.names.all(), ", "), "the module does not declare %s", block.Name)
		} else if s.options.purpose == toCheck {
			s.failed[id] = false
			s.put(block, s.placeholder(block), nil)
			s.exports[id] = nil // nobody knows
		}
		return
	}
	around := slices.Clone(s.within)
	for _, e := range d.within { // the modules that the declaration comes from
		if !slices.Contains(around, e) {
			around = append(around, e)
		}
	}
	within, ok := s.enter(block, around, enclosing{d.block, "declare " + d.block.Label})
	if !ok {
		s.failed[id] = true
		return
	}
	before := s.errors()
	n := s.given(block)
	inner := s.builder.scope(s.global(id), &config.Document{Blocks: d.block.Blocks(), Complete: true})
	inner.names = &names{outer: d.names}
	inner.vars, inner.silent, inner.within = d.vars, s.silent, within
	inner.custom, inner.args = block, n.args
	for _, a := range d.block.Attributes(s.language) {
		s.report(a.At, "", "argument %q is outside of any block of the declare", a.Name)
	}
	s.compare(block, inner)
	if s.errors() == before {
		inner.build()
	}
	if s.errors() > before {
		s.failed[id] = true
		return
	}
	s.put(block, n, inner.results)
}

// given evaluates what a custom component is given, or takes it over.
func (s *scope) given(block *config.Block) *node {
	deps, fingerprint := s.deps(block), block.Fingerprint(s.language)
	if n := s.unchanged(s.global(block.ID()), fingerprint, deps); n != nil {
		return n
	}
	n := s.newNode(block, fingerprint)
	n.component, n.deps, n.args = module{}, deps, map[string]value{}
	for _, a := range block.Attributes(s.language) {
		v, err := s.evaluate(a.Expr, n)
		n.args[a.Name] = v
		s.reportAt(a.At, err)
	}
	for _, inner := range block.Blocks() {
		s.report(inner.At, inner.Name+" = ...", "%q of %s is a block; custom components take arguments only", inner.Name, block.Name)
	}
	n.arguments = s.showValues(n.args)
	return n
}

// placeholder is the node of a custom component of which nothing is known here.
func (s *scope) placeholder(block *config.Block) *node {
	n := s.newNode(block, "")
	n.component, n.arguments = module{}, []byte("{}")
	return n
}

// reportAt reports an error of a hook.
func (s *scope) reportAt(at config.Range, err error) {
	switch err := err.(type) {
	case nil:
	case config.Diagnostics:
		s.diagnostics = append(s.diagnostics, err...)
	default:
		if err != config.ErrReported {
			s.report(at, "", "%v", err)
		}
	}
}

// compare reports arguments that a custom component does not have.
func (s *scope) compare(block *config.Block, inner *scope) {
	var accepted []string
	for _, b := range inner.blocks {
		if b.Name == "argument" {
			accepted = append(accepted, b.Label)
		}
	}
	seen := map[string]bool{}
	for _, a := range block.Attributes(s.language) {
		if seen[a.Name] {
			s.report(a.At, "", "argument %q of %s is set twice", a.Name, block.Name)
		}
		seen[a.Name] = true
		if slices.Contains(accepted, a.Name) {
			continue
		}
		hint := ""
		if near := suggest.Nearest(a.Name, accepted); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		s.report(a.At, strings.Join(accepted, ", "), "unknown argument %q of %s%s", a.Name, block.Name, hint)
	}
}

type argumentConfig struct {
	Optional bool     `alloy:"optional,attr,optional"`
	Default  anyValue `alloy:"default,attr,optional"`
	Comment  string   `alloy:"comment,attr,optional"`
}

// argument evaluates an argument of the custom component that s is the body of.
func (s *scope) argument(block *config.Block) {
	var c argumentConfig
	n := s.single(block, &c, func() value { return c.Default.value })
	if n == nil {
		return
	}
	v, ok := s.args[block.Label]
	if !ok && !c.Optional && !n.optional {
		s.failed[block.ID()] = true
		s.report(s.custom.At, "", "%s lacks the required argument %q", s.custom.Name, block.Label)
		return
	}
	if !ok {
		v = n.args["value"]
	}
	n.optional = c.Optional || n.optional
	s.exports[block.ID()] = map[string]value{"value": v}
}

type exportConfig struct {
	Value anyValue `alloy:"value,attr"`
}

// export evaluates an export of the custom component that s is the body of.
func (s *scope) export(block *config.Block) {
	var c exportConfig
	n := s.single(block, &c, func() value { return c.Value.value })
	if n == nil {
		return
	}
	s.results[block.Label] = n.args["value"]
	s.exports[block.ID()] = map[string]value{}
}

// single decodes a block that is the language's own and has one value, for which it
// returns a node, or nil if it is in error. The node belongs to the graph only if
// it keeps a set of targets up to date.
func (s *scope) single(block *config.Block, c any, result func() value) *node {
	deps, fingerprint := s.deps(block), block.Fingerprint(s.language)
	n := s.unchanged(s.global(block.ID()), fingerprint, deps)
	if n == nil {
		n = s.newNode(block, fingerprint)
		n.component, n.deps, n.hidden, n.arguments = module{}, deps, true, []byte("{}")
		if ds := s.decoding(block, n).Decode(block, c); ds != nil {
			s.failed[block.ID()] = true
			s.diagnostics = append(s.diagnostics, ds...)
			return nil
		}
		if a, ok := c.(*argumentConfig); ok {
			n.optional = a.Optional
		}
		n.args = map[string]value{"value": result()}
	}
	if len(n.derived) > 0 {
		s.add(n, nil)
	}
	return n
}

// bring builds the declarations that an import has read.
func (s *scope) bring(block *config.Block, n *node, from importer) {
	var m component.Module
	if err := guard(func() error { m = from.Module(); return nil }); err != nil {
		s.reportAt(block.At, err)
		return
	}
	s.new.modules[n] = m
	s.names.imported[block.Label] = &names{broken: true}
	within, ok := s.enter(block, s.within, enclosing{m.Key, block.Name + " " + m.Key})
	if !ok {
		s.failed[block.ID()] = true
		return
	}
	doc, ds := config.Parse(config.Sources(m.Files))
	s.diagnostics = append(s.diagnostics, ds...)
	inner := s.builder.scope(s.global(block.ID()), doc)
	inner.library, inner.within, inner.silent = true, within, s.silent
	inner.vars = s.module()
	if m.Path != "" {
		inner.vars = map[string]value{"module_path": {raw: filepath.ToSlash(m.Path)}}
	}
	inner.names.broken = !doc.Complete
	inner.build()
	s.names.imported[block.Label] = inner.names
}

// showValues is values as JSON, by name, without secrets.
func (s *scope) showValues(values map[string]value) json.RawMessage {
	shown := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		shown[name] = s.showValue(name, values[name].raw)
	}
	text, err := json.Marshal(shown)
	if err != nil {
		text, _ = json.Marshal(map[string]string{"error": err.Error()})
	}
	return text
}

func (s *scope) showValue(name string, v any) any {
	if mask.HidesValue(name) {
		return mask.Redacted
	}
	if o, ok := v.(*config.Opaque); ok {
		v = o.Value
	}
	if shown, ok := s.show(v); ok {
		return shown
	}
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = s.showValue("", v[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for name := range v {
			out[name] = s.showValue(name, v[name])
		}
		return out
	case string:
		return mask.Shown(name, v)
	}
	if v != nil && reflect.TypeOf(v).Kind() == reflect.Func {
		return "(function)"
	}
	return s.options.Kinds.show(v)
}
