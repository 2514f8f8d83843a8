package graph

import (
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/config"
)

// check reports what is wrong with a block that is in error anyway.
func (s *scope) check(block *config.Block) {
	def, known := s.definitions[block.Name]
	if known {
		s.diagnostics = append(s.diagnostics, s.excuse(s.decoding(block, &node{}).Decode(block, reflect.New(def.Config()).Interface()))...)
	}
}

// block builds what a block represents.
func (s *scope) block(block *config.Block) {
	switch {
	case s.failed[block.ID()]:
		s.check(block)
	case block.Name == "declare":
		s.exports[block.ID()] = map[string]value{}
	case block.Name == "argument":
		s.argument(block)
	case block.Name == "export":
		s.export(block)
	case block.Name == "foreach":
		s.foreach(block)
	case s.isCustom(block.Name):
		s.instance(block)
	default:
		s.component(block)
	}
}

// component builds the node of a component, or takes it over.
func (s *scope) component(block *config.Block) {
	id := block.ID()
	deps := s.deps(block)
	fingerprint := block.Fingerprint(s.language)
	n := s.unchanged(s.global(id), fingerprint, deps)
	if n == nil {
		start := time.Now()
		made, ds := s.node(block, fingerprint)
		s.evaluated(s.global(id), start, ds)
		s.diagnostics = append(s.diagnostics, ds...)
		if made == nil {
			s.failed[id] = true
			return
		}
		n = made
		n.deps = deps
	}
	s.put(block, n, n.exported())
	if m, ok := n.component.(importer); ok {
		s.bring(block, n, m)
	} else if isImport(block.Name) {
		s.names.imported[block.Label] = &names{broken: true} // it represents one that cannot be read here
	}
}

// unchanged is the node of the graph before, if it would be made of the same
// again.
func (s *scope) unchanged(id, fingerprint string, deps []*node) *node {
	if s.old == nil {
		return nil
	}
	n := s.old.byID[id]
	if n == nil || n.fingerprint != fingerprint || n.silent != s.silent || !slices.Equal(n.deps, deps) || !s.sameValues(n) {
		return nil
	}
	return n
}

// sameValues reports whether the values that n was built with are the same now.
func (s *scope) sameValues(n *node) bool {
	for _, used := range n.values {
		v, _, err := s.lookup(used.ref)
		if err != nil {
			return false
		}
		if changing, ok := asLive(v.raw); ok && used.content {
			v.raw = s.content(changing)
		}
		if !same(v.raw, used.raw) {
			return false
		}
	}
	return true
}

// deps are the nodes that made the values to which block refers, each once.
func (s *scope) deps(block *config.Block) []*node {
	var all value
	for _, ref := range block.References() {
		if v, _, err := s.lookup(ref); err == nil {
			all.merged(v)
		}
	}
	return all.deps
}

// put adds the node of block, which exports these values.
func (s *scope) put(block *config.Block, n *node, exports map[string]value) {
	s.exports[block.ID()] = exports
	s.add(n, exports)
	s.new.refs[n.id] = s.references(block, n)
}

// references are the ids of the components to which a block refers.
func (s *scope) references(block *config.Block, n *node) []string {
	var ids []string
	add := func(id string) {
		if other := s.new.byID[id]; other != nil && !other.hidden && other != n && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, ref := range block.References() {
		for at := s; at != nil; at = at.outer {
			to, _ := at.target(ref)
			if to == "" {
				continue
			}
			if at.new.byID[at.global(to)] != nil {
				add(at.global(to))
				break
			}
			if v, _, err := at.lookup(ref); err == nil {
				for _, dep := range v.deps {
					add(dep.id)
				}
			}
			break
		}
	}
	return ids
}

// exported is what n exports now.
func (n *node) exported() map[string]value {
	raw := n.exports
	if e, ok := n.component.(exporter); ok && n.changed.Load() {
		_ = guard(func() error { raw = e.Exports(); return nil })
	}
	out := make(map[string]value, len(raw))
	for name, v := range raw {
		out[name] = value{raw: v, deps: []*node{n}, from: []string{n.id}}
	}
	return out
}

// newNode makes a node without its component.
func (s *scope) newNode(block *config.Block, fingerprint string) *node {
	n := &node{
		id: s.global(block.ID()), path: "/" + s.id, local: block.ID(), fingerprint: fingerprint, silent: s.silent,
		registry: prometheus.NewRegistry(), metrics: s.metrics, spans: s.options.Spans, listeners: s.options.Listeners.View(), kinds: s.options.Kinds,
	}
	n.logger = s.options.Logger.With("component_path", n.path, "component_id", n.local)
	return n
}

// node makes the component of a block. It returns nil if the block is in error.
func (s *scope) node(block *config.Block, fingerprint string) (*node, config.Diagnostics) {
	n := s.newNode(block, fingerprint)
	n.def = s.definitions[block.Name]
	c := reflect.New(n.def.Config()).Interface()
	decoder := s.decoding(block, n)
	if ds := decoder.Decode(block, c); ds != nil {
		return s.standIn(n, append(ds, decoder.Unreadable...))
	}
	n.arguments = config.Encode(c, s.show)
	found := decoder.Unreadable
	err := s.construct(n, block, c, &found)
	if err != nil {
		for _, d := range block.Place(err) {
			if !d.Missing || len(decoder.Unreadable) == 0 { // which file it is has been reported already
				found = append(found, d)
			}
		}
		return s.standIn(n, found)
	}
	if found = s.excuse(found); found.Err() != nil {
		return nil, found
	}
	return n, found
}

// construct makes the component of n, and adds its warnings to found.
func (s *scope) construct(n *node, block *config.Block, c any, found *config.Diagnostics) error {
	err := guard(func() (err error) {
		n.component, err = n.def.New(c, s.componentOptions(n, block, found))
		if e, ok := n.component.(exporter); ok && err == nil {
			n.exports = e.Exports()
		}
		return err
	})
	var p *panicError
	if errors.As(err, &p) {
		n.logger.Error("a component panicked", "panic", p.value, "stack", string(p.stack))
	}
	return err
}

func (s *scope) componentOptions(n *node, block *config.Block, warnings *config.Diagnostics) component.Options {
	o := s.options
	wake := o.wake
	return component.Options{
		ID: n.id, Logger: n.logger, Orphans: o.Orphans, Spans: o.Spans, Docker: o.Docker, Files: o.Files, Listeners: n.listeners, UserAgent: o.UserAgent, CheckOnly: o.purpose != toRun,
		Context: o.making,
		Metrics: prometheus.WrapRegistererWith(prometheus.Labels{"component_path": n.path, "component_id": n.local}, n.registry),
		Left:    func(f func(dirs []string, load string)) { o.left(n, f) },
		Dir:     filepath.Join(o.StoragePath, n.id),
		Changed: func() {
			n.changed.Store(true)
			n.pending.Store(true)
			wake()
		},
		Warn: func(path, why string) {
			at, name := block.Find(path)
			d := config.Diagnostic{Severity: config.Warning, At: at, Message: name + " of " + n.id + ": " + why}
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.loaded {
				n.logger.Warn("warning about the configuration", "position", d.At.String(), "argument", name, "why", why)
				return
			}
			*warnings = append(*warnings, d)
		},
	}
}
