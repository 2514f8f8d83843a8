package graph

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"collector/pkg/config"
	"collector/pkg/discovery"
	"collector/pkg/live"
)

// decoding makes the decoder of a block, which notes in n what it uses.
func (s *scope) decoding(block *config.Block, n *node) *config.Decoder {
	return &config.Decoder{
		Language: s.language,
		Resolve: func(ref config.Reference) (any, int, error) {
			v, names, err := s.lookup(ref)
			if err != nil {
				return nil, 0, err
			}
			return s.use(n, s.global(block.ID()), ref, names, v), names, nil
		},
		Values: valueHooks(block.Name),
		Exprs: map[reflect.Type]func(*config.Expr) (any, error){
			reflect.TypeFor[*discovery.Set](): func(e *config.Expr) (any, error) { return s.targets(e, n, s.global(block.ID())) },
			reflect.TypeFor[anyValue](): func(e *config.Expr) (any, error) {
				v, err := s.evaluate(e, n)
				return anyValue{v}, err
			},
		},
		TypeName:   TypeName,
		Describe:   describe,
		CheckFiles: s.options.purpose != toRun,
	}
}

// use is v, to which names of ref lead, as an argument of n, the node of the block
// id, that is no set of targets takes it: with edges in front of receivers, and the
// targets that there are now in the place of a set.
func (s *scope) use(n *node, id string, ref config.Reference, names int, v value) any {
	path := strings.Join(ref.Path[:names], ".")
	if set, ok := asSet(v.raw); ok {
		content := s.content(set)
		n.values = append(n.values, valueUsed{ref, content, true})
		return content
	}
	n.values = append(n.values, valueUsed{ref: ref, raw: v.raw})
	return eachOpaque(v.forExpression(path), func(o *config.Opaque) *config.Opaque {
		if taken(o.Value) == "" {
			return o
		}
		n.flows = append(n.flows, flow{id, o.Owner})
		return s.watched(o, n, id)
	})
}

// watched is the receiver o with the edge in front of it that leads from n, the
// node of the block from. The edge is that of the graph before, if it had one:
// what is counted there goes on.
func (s *scope) watched(o *config.Opaque, n *node, from string) *config.Opaque {
	edges := n.edges
	if s.old != nil && s.old.byID[from] != nil {
		edges = append(slices.Clip(edges), s.old.byID[from].edges...)
	}
	i := slices.IndexFunc(edges, func(e *live.Edge) bool { return e.To == o.Owner })
	edge := live.NewEdge(s.options.Live, from, o.Owner)
	if i >= 0 {
		edge = edges[i]
	}
	if !slices.Contains(n.edges, edge) {
		n.edges = append(n.edges, edge)
	}
	sink := edge.Wrap(o.Value)
	s.name(sink, o.Path)
	return &config.Opaque{Value: sink, Path: o.Path, Owner: o.Owner}
}

func asSet(v any) (*discovery.Set, bool) {
	if o, ok := v.(*config.Opaque); ok {
		v = o.Value
	}
	set, ok := v.(*discovery.Set)
	return set, ok
}

// lookup gives the value that ref leads to, and the number of names that lead to
// it.
func (s *scope) lookup(ref config.Reference) (value, int, error) {
	if v, ok := s.vars[ref.Path[0]]; ok {
		return v, 1, nil
	}
	id, rest := s.target(ref)
	if id == "" && s.outer != nil {
		return s.outer.lookup(ref)
	}
	if id == "" {
		return value{}, 0, s.unknownReference(ref)
	}
	exports, ok := s.exports[id]
	if !ok || exports == nil {
		return value{}, 0, config.ErrReported
	}
	names := slices.Sorted(maps.Keys(exports))
	if len(rest) == 0 {
		return value{}, 0, s.unknownExport(ref, id, rest, names)
	}
	v, ok := exports[rest[0]]
	if !ok || v.raw == nil && s.byID[id].Name != "argument" && !s.isCustom(s.byID[id].Name) {
		return value{}, 0, s.unknownExport(ref, id, rest, names)
	}
	if _, ok := v.raw.(unknown); ok {
		return value{}, 0, config.ErrReported
	}
	return v, len(ref.Path) - len(rest) + 1, nil
}

func (s *scope) unknownReference(ref config.Reference) error {
	if !s.complete {
		return config.ErrReported // it may be in the file that cannot be read
	}
	if len(ref.Path) == 1 {
		return config.Diagnostics{{At: ref.At, Message: fmt.Sprintf("%s is not defined", ref), Accepted: "a string in double quotes, a function such as sys.env(...), or a reference such as loki.write.default.receiver"}}
	}
	for n := len(ref.Path) - 1; n > 1; n-- {
		if name := strings.Join(ref.Path[:n], "."); slices.Contains(alloyComponents(), name) && !s.known(name) {
			return fmt.Errorf("%s refers to a component that does not exist; besides, %s is a component of Alloy that collector does not have", ref, name)
		}
	}
	hint := ""
	last := len(ref.Path) - 1
	if near := config.Nearest(strings.Join(ref.Path[:last], "."), s.ids()); near != "" {
		hint = fmt.Sprintf("; did you mean %s.%s?", near, ref.Path[last])
	}
	if s.custom != nil {
		hint += "; a declare sees only its own blocks and arguments"
	}
	return fmt.Errorf("%s refers to a component that does not exist%s", ref, hint)
}

func (s *scope) unknownExport(ref config.Reference, id string, rest, names []string) error {
	d := config.Diagnostic{At: ref.At, Accepted: strings.Join(names, ", ")}
	switch {
	case len(names) == 0:
		d.Message = fmt.Sprintf("%s: %s exports nothing that could be referred to", ref, id)
	case len(rest) == 0:
		d.Message = fmt.Sprintf("%s is a component; name the export that is meant", id)
	default:
		d.Message = fmt.Sprintf("%s has no export %q", id, rest[0])
		if near := config.Nearest(rest[0], names); near != "" {
			d.Message += fmt.Sprintf("; did you mean %s.%s?", id, near)
		}
	}
	return config.Diagnostics{d}
}

// targets makes the set that an expression stands for as an argument of n, the
// node of the block id: the set itself that it refers to, or a new one that
// follows those in the expression.
func (s *scope) targets(e *config.Expr, n *node, id string) (any, error) {
	d, v, err := s.derive(e, n)
	if err != nil {
		return nil, err
	}
	for _, from := range v.from {
		n.flows = append(n.flows, flow{from, id})
	}
	if set, ok := asSet(v.raw); ok {
		return set, nil
	}
	if ds := d.evaluate(); len(ds) > 0 {
		return nil, ds
	} else if ds != nil {
		return nil, config.ErrReported
	}
	if len(d.sources) > 0 {
		n.derived = append(n.derived, d)
	}
	s.name(d.set, e.Text())
	return d.set, nil
}

// derive looks up what an expression of n refers to. If that is one set of targets
// and nothing else, it is the value; else derived can evaluate the expression, and
// the value says only what it was made by.
func (s *scope) derive(e *config.Expr, n *node) (*derived, value, error) {
	values := map[string]lookedUp{}
	d := &derived{expr: e, set: discovery.NewSet()}
	var all value
	for _, ref := range e.References() {
		v, names, err := s.lookup(ref)
		values[ref.String()] = lookedUp{v, names, err}
		if err != nil {
			continue // evaluate reports it
		}
		n.values = append(n.values, valueUsed{ref: ref, raw: v.raw})
		set, live := asSet(v.raw)
		if alone, ok := e.Reference(); live && ok && names == len(alone.Path) {
			return nil, v, nil
		}
		if live && !slices.Contains(d.sources, set) {
			d.sources = append(d.sources, set)
		}
		if live {
			all.merged(v)
		}
	}
	// The resolver lives as long as the node does: it must not hold the
	// builder, which holds the graph before.
	d.resolve = func(ref config.Reference) (any, int, error) { return values[ref.String()].now(ref) }
	return d, all, nil
}

// evaluate is the value of an expression of n that may have any: a list of targets
// that changes while running stays one.
func (s *scope) evaluate(e *config.Expr, n *node) (value, error) {
	if alone, ok := e.Reference(); ok {
		if v, names, err := s.lookup(alone); err == nil && names == len(alone.Path) {
			n.values = append(n.values, valueUsed{ref: alone, raw: v.raw})
			if o, ok := v.forExpression(alone.String()).(*config.Opaque); ok {
				v.raw = o
			}
			return v, nil
		}
	}
	d, v, err := s.derive(e, n)
	if err != nil {
		return value{raw: unknown{}}, err
	}
	raw, ds := e.Evaluate(d.resolve)
	if len(ds) > 0 {
		return value{raw: unknown{}}, ds
	} else if ds != nil {
		return value{raw: unknown{}}, config.ErrReported
	}
	if len(d.sources) > 0 {
		if targets, err := targetsOf(raw); err == nil {
			d.set.Replace(targets)
			n.derived = append(n.derived, d)
			s.name(d.set, e.Text())
			return value{raw: d.set, deps: []*node{n}, from: v.from}, nil
		}
		s.contents(e, n)
	}
	v = value{raw: raw}
	for _, ref := range e.References() {
		if used, _, err := s.lookup(ref); err == nil {
			v.merged(used)
		}
	}
	return v, nil
}

// contents notes that n was made of what the sets in e held.
func (s *scope) contents(e *config.Expr, n *node) {
	for _, ref := range e.References() {
		if v, _, err := s.lookup(ref); err == nil {
			if set, ok := asSet(v.raw); ok {
				n.values = append(n.values, valueUsed{ref, s.content(set), true})
			}
		}
	}
}

// lookedUp is what lookup gave for a reference.
type lookedUp struct {
	value value
	names int
	err   error
}

// now is the value as expressions see it at this moment.
func (l lookedUp) now(ref config.Reference) (any, int, error) {
	if l.err != nil {
		return nil, 0, l.err
	}
	if set, live := asSet(l.value.raw); live {
		targets, _ := set.Targets()
		return objects(targets), l.names, nil
	}
	return l.value.forExpression(strings.Join(ref.Path[:l.names], ".")), l.names, nil
}

// plainList is a list of any Go type as expressions have it.
func plainList(v any) ([]any, error) {
	if reflect.TypeOf(v).Kind() != reflect.Slice {
		return nil, fmt.Errorf("no list")
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var list []any
	return list, json.Unmarshal(text, &list)
}
