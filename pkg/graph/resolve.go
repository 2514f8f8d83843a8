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
)

// decoding makes the decoder of a block, which notes in n what it uses.
func (b *builder) decoding(block *config.Block, n *node) *config.Decoder {
	return &config.Decoder{
		Language: b.language,
		Resolve: func(ref config.Reference) (any, int, error) {
			value, names, err := b.lookup(ref)
			if err != nil {
				return nil, 0, err
			}
			if changing, ok := value.(pipeline.Live); ok {
				return nil, 0, fmt.Errorf("%s is %s, which changes while running; only an argument that takes such values can use it", ref, b.options.Kinds.of(changing).Is)
			}
			if o, opaque := value.(*config.Opaque); opaque {
				if kind := b.options.Kinds.of(o.Value); kind.Carries != "" {
					to, _ := b.target(ref)
					n.flows = append(n.flows, flow{block.ID(), to})
					value = b.watched(o, kind, n, block.ID(), to)
				}
			} else {
				n.values = append(n.values, valueUsed{ref, value})
			}
			return value, names, nil
		},
		Values:     b.options.Kinds.hooks(block.Name),
		Exprs:      b.exprs(block, n),
		TypeName:   b.options.Kinds.typeName,
		CheckFiles: b.options.purpose != toRun,
	}
}

// exprs make the live values that expressions of a block stand for.
func (b *builder) exprs(block *config.Block, n *node) map[reflect.Type]func(*config.Expr) (any, error) {
	hooks := map[reflect.Type]func(*config.Expr) (any, error){}
	for _, k := range b.options.Kinds {
		if k.New != nil {
			hooks[k.Type] = func(e *config.Expr) (any, error) { return b.changing(e, k, block, n) }
		}
	}
	return hooks
}

// watched is the receiver o with the edge in front of it that leads from n, the
// node of the block from. The edge is that of the graph before, if it had one:
// what is counted there goes on.
func (b *builder) watched(o *config.Opaque, kind pipeline.Kind, n *node, from, to string) *config.Opaque {
	edges := n.edges
	if b.old != nil && b.old.byID[from] != nil {
		edges = append(slices.Clip(edges), b.old.byID[from].edges...)
	}
	i := slices.IndexFunc(edges, func(e *live.Edge) bool { return e.To == to })
	edge := live.NewEdge(b.options.Live, from, to)
	if i >= 0 {
		edge = edges[i]
	}
	if !slices.Contains(n.edges, edge) {
		n.edges = append(n.edges, edge)
	}
	sink := kind.Wrap(o.Value, edge)
	b.name(sink, o.Path)
	return &config.Opaque{Value: sink, Path: o.Path, Is: o.Is}
}

// lookup gives the value that ref leads to: a plain one, *config.Opaque, or
// pipeline.Live, and the number of names that lead to it.
func (b *builder) lookup(ref config.Reference) (any, int, error) {
	id, rest := b.target(ref)
	if id == "" {
		return nil, 0, b.unknownReference(ref)
	}
	n := b.new.byID[id]
	if n == nil {
		return nil, 0, config.ErrReported
	}
	names := slices.Sorted(maps.Keys(n.exports))
	if len(rest) == 0 || n.exports[rest[0]] == nil {
		return nil, 0, b.unknownExport(ref, id, rest, names)
	}
	value := n.exports[rest[0]]
	if _, ok := value.(unknown); ok {
		return nil, 0, config.ErrReported
	}
	used := len(ref.Path) - len(rest) + 1
	if changing, ok := value.(pipeline.Live); ok {
		return changing, used, nil
	}
	return b.options.Kinds.forExpression(value, strings.Join(ref.Path[:used], ".")), used, nil
}

func (b *builder) unknownReference(ref config.Reference) error {
	if !b.doc.Complete {
		return config.ErrReported // it may be in the file that cannot be read
	}
	if len(ref.Path) == 1 {
		return config.Diagnostics{{At: ref.At, Message: fmt.Sprintf("%s is not defined", ref), Accepted: "a string in double quotes, a function such as sys.env(...), or a reference such as loki.write.default.receiver"}}
	}
	for n := len(ref.Path) - 1; n > 1; n-- {
		if name := strings.Join(ref.Path[:n], "."); slices.Contains(alloyComponents(), name) && !b.known(name) {
			return fmt.Errorf("%s refers to a component that does not exist; besides, %s is a component of Alloy that collector does not have", ref, name)
		}
	}
	hint := ""
	last := len(ref.Path) - 1
	if near := config.Nearest(strings.Join(ref.Path[:last], "."), b.ids()); near != "" {
		hint = fmt.Sprintf("; did you mean %s.%s?", near, ref.Path[last])
	}
	return fmt.Errorf("%s refers to a component that does not exist%s", ref, hint)
}

func (b *builder) unknownExport(ref config.Reference, id string, rest, names []string) error {
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

// changing makes the live value of kind k that an expression stands for: the very
// value that it refers to, or a new one that follows those in the expression.
func (b *builder) changing(e *config.Expr, k pipeline.Kind, block *config.Block, n *node) (any, error) {
	values := map[string]lookedUp{}
	d := &derived{expr: e, made: k.New()}
	for _, ref := range e.References() {
		value, names, err := b.lookup(ref)
		values[ref.String()] = lookedUp{value, names, err}
		if err != nil {
			continue // evaluate reports it
		}
		source, ok := value.(pipeline.Live)
		if !ok {
			n.values = append(n.values, valueUsed{ref, value})
			continue
		}
		from, _ := b.target(ref)
		n.flows = append(n.flows, flow{from, block.ID()})
		if alone, ok := e.Reference(); ok && names == len(alone.Path) && k.Holds(source) {
			return source, nil
		}
		if !slices.Contains(d.sources, source) {
			d.sources = append(d.sources, source)
		}
	}
	// The resolver lives as long as the node does: it must not hold the
	// builder, which holds the graph before.
	d.resolve = func(ref config.Reference) (any, int, error) { return values[ref.String()].now() }
	if ds := d.evaluate(); len(ds) > 0 {
		return nil, ds
	} else if ds != nil {
		return nil, config.ErrReported
	}
	if len(d.sources) > 0 {
		n.derived = append(n.derived, d)
	}
	b.name(d.made, e.Text())
	return d.made, nil
}

// lookedUp is what lookup gave for a reference.
type lookedUp struct {
	value any
	names int
	err   error
}

// now is the value as expressions see it at this moment.
func (l lookedUp) now() (any, int, error) {
	if changing, ok := l.value.(pipeline.Live); ok {
		value, _ := changing.Now()
		return value, l.names, nil
	}
	return l.value, l.names, l.err
}
