package corpus

import (
	"slices"
	"strings"

	"github.com/grafana/alloy/syntax/ast"
)

// writers are the components where data leaves the collector.
var writers = []string{
	"loki.write", "loki.echo", "prometheus.remote_write", "prometheus.write.queue", "pyroscope.write",
	"otelcol.exporter.otlp", "otelcol.exporter.otlphttp", "otelcol.exporter.debug",
}

// hop is a component that data of a signal flow to.
type hop struct {
	to     *block
	signal string
}

// onward is where data of a signal flow from b.
func (c *configuration) onward(b *block, signal string) []hop {
	var out []hop
	add := func(e ast.Expr, signal string) {
		for _, to := range c.references(e) {
			out = append(out, hop{to, signal})
		}
	}
	for _, name := range []string{"forward_to", "write_to"} {
		if e := attribute(b.body, name); e != nil {
			add(e, signal)
		}
	}
	output := child(b.body, "output")
	if output == nil {
		return out
	}
	for _, stmt := range output.Body {
		a, ok := stmt.(*ast.AttributeStmt)
		if !ok {
			continue
		}
		// A connector turns one signal into another.
		if a.Name.Name == signal || strings.HasPrefix(b.kind, "otelcol.connector.") && signal == "traces" {
			add(a.Value, a.Name.Name)
		}
	}
	return out
}

// path is a way from a source to a writer: the components after the source.
type path []*block

// paths are all ways of a signal from b to writers, by the writer's id.
func (c *configuration) paths(b *block, signal string) map[string][]path {
	out := map[string][]path{}
	var walk func(at hop, way path)
	walk = func(at hop, way path) {
		if slices.Contains(way, at.to) {
			return
		}
		way = append(slices.Clone(way), at.to)
		if slices.Contains(writers, at.to.kind) {
			out[at.to.id] = append(out[at.to.id], way)
			return
		}
		for _, next := range c.onward(at.to, at.signal) {
			walk(next, way)
		}
	}
	for _, first := range c.onward(b, signal) {
		walk(first, nil)
	}
	return out
}

// origin is where targets come from: an object in the configuration, or a
// component that finds or serves them; and the relabelings on the way, in order.
type origin struct {
	object *ast.ObjectExpr
	found  *block
	in     *block // where the object is
	via    []*block
}

// origins are where the targets of an expression in b come from.
func (c *configuration) origins(b *block, e ast.Expr) []origin {
	if e == nil {
		return nil
	}
	var out []origin
	ast.Walk(visit(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.ObjectExpr:
			out = append(out, origin{object: n, in: b})
		case *ast.AccessExpr:
			of := c.byID[idOf(dotted(n))]
			if of == nil {
				return
			}
			switch of.kind {
			case "discovery.relabel":
				for _, o := range c.origins(of, attribute(of.body, "targets")) {
					o.via = append(o.via, of)
					out = append(out, o)
				}
			case "local.file_match":
				out = append(out, c.origins(of, attribute(of.body, "path_targets"))...)
			default:
				if strings.HasPrefix(of.kind, "discovery.") || strings.HasPrefix(of.kind, "prometheus.exporter.") {
					out = append(out, origin{found: of})
				}
			}
		}
	}), e)
	return out
}
