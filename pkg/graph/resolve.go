package graph

import (
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
func (b *builder) decoding(block *config.Block, n *node) *config.Decoder {
	return &config.Decoder{
		Language: b.language,
		Resolve: func(ref config.Reference) (any, int, error) {
			value, names, err := b.lookup(ref)
			if err != nil {
				return nil, 0, err
			}
			if _, live := value.(*discovery.Set); live {
				return nil, 0, fmt.Errorf("%s is a list of targets that changes while running; only an argument that takes targets can use it", ref)
			}
			if o, opaque := value.(*config.Opaque); opaque {
				if data := taken(o.Value); data != "" {
					to, _ := b.target(ref)
					n.flows = append(n.flows, flow{block.ID(), to})
					value = b.watched(o, n, block.ID(), to)
				}
			} else {
				n.values = append(n.values, valueUsed{ref, value})
			}
			return value, names, nil
		},
		Values: valueHooks(block.Name),
		Exprs: map[reflect.Type]func(*config.Expr) (any, error){
			reflect.TypeFor[*discovery.Set](): func(e *config.Expr) (any, error) { return b.targets(e, block, n) },
		},
		TypeName:   TypeName,
		Describe:   describe,
		CheckFiles: b.options.purpose != toRun,
	}
}

// watched is the receiver o with the edge in front of it that leads from n, the
// node of the block from. The edge is that of the graph before, if it had one:
// what is counted there goes on.
func (b *builder) watched(o *config.Opaque, n *node, from, to string) *config.Opaque {
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
	sink := edge.Wrap(o.Value)
	b.name(sink, o.Path)
	return &config.Opaque{Value: sink, Path: o.Path}
}

// lookup gives the value that ref leads to: a plain one, *config.Opaque, or
// *discovery.Set, and the number of names that lead to it.
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
	if set, live := value.(*discovery.Set); live {
		return set, used, nil
	}
	return forExpression(value, strings.Join(ref.Path[:used], ".")), used, nil
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

// targets makes the set that an expression stands for: the set itself that it
// refers to, or a new one that follows those in the expression.
func (b *builder) targets(e *config.Expr, block *config.Block, n *node) (any, error) {
	values := map[string]lookedUp{}
	d := &derived{expr: e, set: discovery.NewSet()}
	for _, ref := range e.References() {
		value, names, err := b.lookup(ref)
		values[ref.String()] = lookedUp{value, names, err}
		if err != nil {
			continue // evaluate reports it
		}
		set, live := value.(*discovery.Set)
		if !live {
			n.values = append(n.values, valueUsed{ref, value})
			continue
		}
		from, _ := b.target(ref)
		n.flows = append(n.flows, flow{from, block.ID()})
		if alone, ok := e.Reference(); ok && names == len(alone.Path) {
			return set, nil
		}
		if !slices.Contains(d.sources, set) {
			d.sources = append(d.sources, set)
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
	b.name(d.set, e.Text())
	return d.set, nil
}

// lookedUp is what lookup gave for a reference.
type lookedUp struct {
	value any
	names int
	err   error
}

// now is the value as expressions see it at this moment.
func (l lookedUp) now() (any, int, error) {
	if set, live := l.value.(*discovery.Set); live {
		targets, _ := set.Targets()
		return objects(targets), l.names, nil
	}
	return l.value, l.names, l.err
}
