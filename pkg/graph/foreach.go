package graph

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"
	"unicode"

	"collector/pkg/config"
	"collector/pkg/pipeline"
)

type foreachConfig struct {
	Collection    collectionValue `alloy:"collection,attr"`
	Var           string          `alloy:"var,attr"`
	ID            string          `alloy:"id,attr,optional"`
	EnableMetrics bool            `alloy:"enable_metrics,attr,optional"`
	HashStringID  bool            `alloy:"hash_string_id,attr,optional"`
}

// collectionValue is a list, and its elements as their names are made of them.
type collectionValue struct {
	value
	named []any // nil: as they are
}

// foreach builds the template of a block foreach for each element of its
// collection.
func (s *scope) foreach(block *config.Block) {
	id := block.ID()
	before := s.errors()
	n := s.loop(block)
	template := s.template(block)
	if n == nil || template == nil {
		s.failed[id] = true
		return
	}
	collection, err := s.collection(n.args["collection"].raw)
	if err != nil {
		s.failed[id] = true
		if err != config.ErrReported {
			at, _ := block.Find("collection")
			s.report(at, "", "collection: %v", err)
		}
		return
	}
	counts := map[string]int{}
	named := n.loop.Collection.named
	if len(named) != len(collection) {
		named = collection
	}
	for i, item := range collection {
		name := "foreach_" + fingerprintOf(named[i], n.loop)
		counts[name]++
		s.iteration(block, template, n, fmt.Sprintf("%s_%d", name, counts[name]), item)
		if s.errors() > before || s.made > maxComponents {
			break // the others would have the same
		}
	}
	if s.errors() > before {
		s.failed[id] = true
		return
	}
	s.exports[id] = map[string]value{}
	s.add(n, nil)
	s.new.refs[n.id] = s.references(block.Without("template"), n)
}

// loop evaluates the arguments of a block foreach, or takes them over.
func (s *scope) loop(block *config.Block) *node {
	head := block.Without("template")
	deps, fingerprint := s.deps(head), head.Fingerprint(s.language)
	if n := s.unchanged(s.global(block.ID()), fingerprint, deps); n != nil {
		return n
	}
	n := s.newNode(head, fingerprint)
	n.component, n.deps = module{}, deps
	var c foreachConfig
	if ds := s.decoding(head, n).Decode(head, &c); ds != nil {
		s.diagnostics = append(s.diagnostics, ds...)
		return nil
	}
	n.loop, n.args = c, map[string]value{"collection": c.Collection.value}
	n.arguments = s.showValues(map[string]value{
		"collection": c.Collection.value, "var": {raw: c.Var}, "id": {raw: c.ID},
		"enable_metrics": {raw: c.EnableMetrics}, "hash_string_id": {raw: c.HashStringID},
	})
	return n
}

func (s *scope) template(block *config.Block) *config.Block {
	var found *config.Block
	for _, inner := range block.Blocks() {
		if inner.Name != "template" {
			continue // decoding has reported it
		}
		if found != nil {
			s.report(inner.At, "", "block \"template\" may be used only once in foreach")
			return nil
		}
		found = inner
	}
	if found == nil {
		s.report(block.At, "template { ... }", "%s lacks the required block \"template\"", block.ID())
		return nil
	}
	for _, a := range found.Attributes(s.language) {
		s.report(a.At, "", "argument %q is outside of any block of the template", a.Name)
		return nil
	}
	return found
}

// collection is what there is an iteration for.
func (s *scope) collection(raw any) ([]any, error) {
	if changing, ok := asLive(raw); ok {
		raw = s.content(changing)
	}
	switch raw := raw.(type) {
	case unknown:
		return nil, config.ErrReported
	case nil:
		return nil, nil
	case []any:
		return raw, nil
	}
	list, ok := generic(raw).([]any)
	if !ok {
		return nil, fmt.Errorf("foreach takes a list, got %s", config.InWords(raw))
	}
	return list, nil
}

// iteration builds the template for one element.
func (s *scope) iteration(block, template *config.Block, n *node, name string, item any) {
	inner := s.builder.scope(path.Join(s.global(block.ID()), name), &config.Document{Blocks: template.Blocks(), Complete: s.complete})
	inner.outer, inner.within = s, s.within
	inner.names = &names{outer: s.names}
	inner.silent = s.silent || !n.loop.EnableMetrics
	of := n.args["collection"]
	inner.vars[n.loop.Var] = value{raw: item, deps: s.itemDeps(n, of), from: of.from}
	inner.build()
}

// itemDeps are the nodes that an element of a collection was made by. That a set of
// targets is replaced says nothing about its elements.
func (s *scope) itemDeps(n *node, of value) []*node {
	if _, ok := asLive(of.raw); ok {
		return nil
	}
	return of.deps
}

// named is the list that e represents, with the paths of live values in the place of
// what these are now: an instance keeps its name when a list of targets changes that is
// a part of its element. It is nil if e has no such parts, or looks into them.
func (s *scope) named(e *config.Expr) []any {
	changes := false
	raw, ds := e.Evaluate(func(ref config.Reference) (any, int, error) {
		v, names, err := s.lookup(ref)
		if err != nil {
			return nil, 0, err
		}
		path := strings.Join(ref.Path[:names], ".")
		if _, ok := asLive(v.raw); ok {
			changes = true
			return &config.Opaque{Value: v.raw, Path: path}, names, nil
		}
		return s.options.Kinds.forExpression(v, path), names, nil
	})
	if list, ok := raw.([]any); ok && ds == nil && changes {
		return list
	}
	return nil
}

// fingerprintOf is what tells an element of a collection from the others.
func fingerprintOf(item any, c foreachConfig) string {
	if object, ok := item.(map[string]any); ok && c.ID != "" {
		if v, ok := object[c.ID]; ok {
			item = v
		}
	}
	switch v := item.(type) {
	case string:
		if !c.HashStringID && len(v) <= 100 { // it is the name of a folder
			return strings.Map(func(r rune) rune {
				if unicode.IsLetter(r) || unicode.IsDigit(r) {
					return r
				}
				return '_'
			}, v)
		}
		return digest(v)
	case int, bool:
		return fmt.Sprint(v)
	case float64:
		return strings.ReplaceAll(fmt.Sprintf("%f", v), ".", "_")
	}
	return digest(fmt.Sprintf("%#v", identity(item)))
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// identity is v without its current state, and with a text in place of what not every
// process prints in the same way, such as a receiver: a name that is made of it names a
// folder, which has to be found again.
func identity(v any) any {
	switch v := v.(type) {
	case *config.Opaque:
		return v.Path
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = identity(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name := range v {
			if !strings.HasPrefix(name, pipeline.StatePrefix) {
				out[name] = identity(v[name])
			}
		}
		return out
	}
	return v
}
