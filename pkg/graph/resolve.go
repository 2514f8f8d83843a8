package graph

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"collector/pkg/config"
	"collector/pkg/live"
	"collector/pkg/pipeline"
	"collector/pkg/suggest"
)

// decoding makes the decoder of a block, which records in n what it uses.
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
		Values:     s.options.Kinds.hooks(block.Name),
		Exprs:      s.exprs(n, s.global(block.ID())),
		TypeName:   s.options.Kinds.typeName,
		CheckFiles: s.options.purpose != toRun,
	}
}

// exprs make what expressions of n, the node of the block id, represent where that
// is more than a plain value.
func (s *scope) exprs(n *node, id string) map[reflect.Type]func(*config.Expr) (any, error) {
	hooks := map[reflect.Type]func(*config.Expr) (any, error){
		reflect.TypeFor[anyValue](): func(e *config.Expr) (any, error) {
			v, err := s.evaluate(e, n)
			return anyValue{v}, err
		},
	}
	hooks[reflect.TypeFor[collectionValue]()] = func(e *config.Expr) (any, error) {
		v, err := s.evaluate(e, n)
		return collectionValue{v, s.named(e)}, err
	}
	for _, k := range s.options.Kinds {
		if k.New != nil {
			hooks[k.Type] = func(e *config.Expr) (any, error) { return s.changing(e, k, n, id) }
		}
	}
	return hooks
}

// use is v, to which names of ref lead, as it is given to an argument of n, the node
// of the block id, that takes no live value: with edges in front of receivers, and
// what a live value is now in its place.
func (s *scope) use(n *node, id string, ref config.Reference, names int, v value) any {
	path := strings.Join(ref.Path[:names], ".")
	if changing, ok := asLive(v.raw); ok {
		content := s.content(changing)
		n.values = append(n.values, valueUsed{ref, content, true})
		return content
	}
	n.values = append(n.values, valueUsed{ref: ref, raw: v.raw})
	return eachOpaque(s.options.Kinds.forExpression(v, path), func(o *config.Opaque) *config.Opaque {
		kind := s.options.Kinds.of(o.Value)
		if kind.Carries == "" {
			return o
		}
		n.flows = append(n.flows, flow{id, o.Owner})
		return s.watched(o, kind, n, id)
	})
}

// watched is the receiver o with the edge in front of it that leads from n, the node of
// the block from. The edge is the one of the previous graph, if it had one: its counts
// continue.
func (s *scope) watched(o *config.Opaque, kind pipeline.Kind, n *node, from string) *config.Opaque {
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
	sink := kind.Wrap(o.Value, edge)
	s.name(sink, o.Path)
	return &config.Opaque{Value: sink, Path: o.Path, Is: o.Is, Owner: o.Owner}
}

func asLive(v any) (pipeline.Live, bool) {
	if o, ok := v.(*config.Opaque); ok {
		v = o.Value
	}
	changing, ok := v.(pipeline.Live)
	return changing, ok
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
		if name := strings.Join(ref.Path[:n], "."); s.lack(name) != "" && !s.known(name) {
			return fmt.Errorf("%s refers to a component that does not exist; besides, %s", ref, s.lack(name))
		}
	}
	hint := ""
	last := len(ref.Path) - 1
	if near := suggest.Nearest(strings.Join(ref.Path[:last], "."), s.ids()); near != "" {
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
		d.Message = fmt.Sprintf("%s: %s has no exports", ref, id)
	case len(rest) == 0:
		d.Message = fmt.Sprintf("%s is a component; refer to one of its exports", id)
	default:
		d.Message = fmt.Sprintf("%s has no export %q", id, rest[0])
		if near := suggest.Nearest(rest[0], names); near != "" {
			d.Message += fmt.Sprintf("; did you mean %s.%s?", id, near)
		}
	}
	return config.Diagnostics{d}
}

// changing makes the live value of kind k that an expression represents as an
// argument of n, the node of the block id: the very value that it refers to, or a
// new one that follows those in the expression.
func (s *scope) changing(e *config.Expr, k pipeline.Kind, n *node, id string) (any, error) {
	d, v := s.derive(e, n)
	for _, from := range v.from {
		n.flows = append(n.flows, flow{from, id})
	}
	if source, ok := asLive(v.raw); ok && k.Holds(source) {
		return source, nil
	}
	d.made = k.New()
	if ds := d.evaluate(); len(ds) > 0 {
		return nil, ds
	} else if ds != nil {
		return nil, config.ErrReported
	}
	if len(d.sources) > 0 {
		n.derived = append(n.derived, d)
	}
	s.name(d.made, e.Text())
	return d.made, nil
}

// derive looks up what an expression of n refers to. The derived value has no target
// value yet. The value names the live ones that it is derived from, and is one of them if
// the expression is nothing else.
func (s *scope) derive(e *config.Expr, n *node) (*derived, value) {
	values := map[string]lookedUp{}
	d := &derived{expr: e}
	var all value
	for _, ref := range e.References() {
		v, names, err := s.lookup(ref)
		values[ref.String()] = lookedUp{v, names, err}
		if err != nil {
			continue // evaluate reports it
		}
		n.values = append(n.values, valueUsed{ref: ref, raw: v.raw})
		source, ok := asLive(v.raw)
		if !ok {
			continue
		}
		all.merged(v)
		if alone, ok := e.Reference(); ok && names == len(alone.Path) {
			all.raw = v.raw
		}
		if !slices.Contains(d.sources, source) {
			d.sources = append(d.sources, source)
		}
	}
	// The resolver lives as long as the node does: it must not hold the
	// builder, which holds the graph before.
	kinds := s.options.Kinds
	d.resolve = func(ref config.Reference) (any, int, error) { return values[ref.String()].now(kinds, ref) }
	return d, all
}

// evaluate is the value of an expression of n that may have any: a list of targets
// that changes while running stays one.
func (s *scope) evaluate(e *config.Expr, n *node) (value, error) {
	if alone, ok := e.Reference(); ok {
		if v, names, err := s.lookup(alone); err == nil && names == len(alone.Path) {
			n.values = append(n.values, valueUsed{ref: alone, raw: v.raw})
			if o, ok := s.options.Kinds.forExpression(v, alone.String()).(*config.Opaque); ok {
				v.raw = o
			}
			return v, nil
		}
	}
	d, made := s.derive(e, n)
	raw, ds := e.Evaluate(d.resolve)
	if len(ds) > 0 {
		return value{raw: unknown{}}, ds
	} else if ds != nil {
		return value{raw: unknown{}}, config.ErrReported
	}
	if len(d.sources) > 0 {
		if d.made = s.options.Kinds.of(d.sources[0]).New(); d.made.Assign(raw) == nil {
			n.derived = append(n.derived, d)
			s.name(d.made, e.Text())
			return value{raw: d.made, deps: []*node{n}, from: made.from}, nil
		}
		s.contents(e, n)
	}
	v := value{raw: raw}
	for _, ref := range e.References() {
		if used, _, err := s.lookup(ref); err == nil {
			v.merged(used)
		}
	}
	return v, nil
}

// contents records the current contents of the live values in e as what n was made from.
func (s *scope) contents(e *config.Expr, n *node) {
	for _, ref := range e.References() {
		if v, _, err := s.lookup(ref); err == nil {
			if changing, ok := asLive(v.raw); ok {
				n.values = append(n.values, valueUsed{ref, s.content(changing), true})
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
func (l lookedUp) now(ks kinds, ref config.Reference) (any, int, error) {
	if l.err != nil {
		return nil, 0, l.err
	}
	if changing, ok := asLive(l.value.raw); ok {
		now, _ := changing.Now()
		return now, l.names, nil
	}
	return ks.forExpression(l.value, strings.Join(ref.Path[:l.names], ".")), l.names, nil
}
