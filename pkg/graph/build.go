package graph

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/listen"
)

// builder builds one graph of one configuration, and collects everything that
// is wrong with it.
type builder struct {
	options     Options
	definitions map[string]Definition
	metrics     *metrics
	language    *config.Language
	old         *graph // may be nil
	new         *graph
	doc         *config.Document
	failed      map[string]bool // the ids of blocks that are in error
	opaque      map[any]string  // what stands for receivers, sets and rules when they are shown
	diagnostics config.Diagnostics
}

// build reads sources into a graph whose nodes are made but not bound and not
// started. Nodes of old that are not affected by any change are taken over.
func build(o Options, m *metrics, sources []config.Source, old *graph) (*graph, config.Diagnostics) {
	if o.Listeners == nil {
		o.Listeners = listen.NewPool()
	}
	b := &builder{
		options: o, definitions: map[string]Definition{}, metrics: m, language: config.NewLanguage(o.Version),
		old: old, new: newGraph(), failed: map[string]bool{}, opaque: map[any]string{},
	}
	for _, d := range o.Definitions {
		b.definitions[d.Name] = d
	}
	b.new.hash = hashOf(sources)
	b.doc, b.diagnostics = config.Parse(sources)
	duplicates := b.identify()
	deps := b.dependencies()
	for _, id := range order(b.ids(), deps, b.cycle) {
		b.block(b.new.blocks[id], deps[id])
	}
	for _, block := range duplicates {
		b.check(block)
	}
	return b.new, b.diagnostics
}

func hashOf(sources []config.Source) string {
	h := sha256.New()
	for _, s := range sources {
		h.Write(s.Text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (b *builder) report(at config.Range, accepted, format string, args ...any) {
	b.diagnostics = append(b.diagnostics, config.Diagnostic{At: at, Message: fmt.Sprintf(format, args...), Accepted: accepted})
}

// ids are the ids of all blocks, in the order of the source.
func (b *builder) ids() []string {
	var ids []string
	for _, block := range b.doc.Blocks {
		if b.new.blocks[block.ID()] == block {
			ids = append(ids, block.ID())
		}
	}
	return ids
}

// identify sorts out blocks that cannot be built whatever is in them, and
// returns those whose name is taken.
func (b *builder) identify() (duplicates []*config.Block) {
	for _, block := range b.doc.Blocks {
		id := block.ID()
		def, known := b.definitions[block.Name]
		if !known {
			b.failed[id] = true
			b.unknownBlock(block)
		} else if def.Singleton && block.Label != "" {
			b.failed[id] = true
			b.report(block.LabelAt(), block.Name+" { ... }", "block %s takes no label", block.Name)
		} else if !def.Singleton && block.Label == "" {
			b.failed[id] = true
			b.report(block.At, block.Name+` "default" { ... }`, "component %s needs a label", block.Name)
		}
		first, taken := b.new.blocks[id]
		if taken && known {
			b.report(block.At, "", "%s stands twice; the first is at %s", id, first.At)
			duplicates = append(duplicates, block)
		}
		if !taken {
			b.new.blocks[id] = block
		}
	}
	return duplicates
}

func (b *builder) unknownBlock(block *config.Block) {
	if alloyBlocks()[block.Name] {
		b.report(block.At, "", "%s is a block of Alloy that collector does not have", block.ID())
		return
	}
	alloy := alloyComponents()
	if slices.Contains(alloy, block.Name) {
		b.report(block.At, "", "%s is a component of Alloy that collector does not have: %s", block.Name, block.ID())
		return
	}
	var names []string
	for _, d := range b.options.Definitions {
		names = append(names, d.Name)
	}
	hint := ""
	if near := config.Nearest(block.Name, append(names, alloy...)); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
		if !slices.Contains(names, near) {
			hint += " (That is a component of Alloy that collector does not have.)"
		}
	}
	slices.Sort(names)
	b.report(block.At, strings.Join(names, ", "), "there is no component %s%s", block.Name, hint)
}

// dependencies are, for each id, the ids that its block refers to, in the
// order of the source, each once.
func (b *builder) dependencies() map[string][]string {
	deps := map[string][]string{}
	for id, block := range b.new.blocks {
		for _, ref := range block.References() {
			if to, _ := b.target(ref); to != "" && !slices.Contains(deps[id], to) {
				deps[id] = append(deps[id], to)
			}
		}
	}
	return deps
}

// target is the id of the block that ref leads to, and what of the path is
// left.
func (b *builder) target(ref config.Reference) (id string, rest []string) {
	for n := len(ref.Path); n > 0; n-- {
		id := strings.Join(ref.Path[:n], ".")
		if b.new.blocks[id] != nil {
			return id, ref.Path[n:]
		}
	}
	return "", nil
}

// cycle reports that the blocks of ids refer to each other in a circle.
func (b *builder) cycle(ids []string) {
	for _, id := range ids {
		b.failed[id] = true
	}
	at := b.new.blocks[ids[0]].At
	next := ids[1%len(ids)]
	for _, ref := range b.new.blocks[ids[0]].References() {
		if to, _ := b.target(ref); to == next {
			at = ref.At
			break
		}
	}
	if len(ids) == 1 {
		b.report(at, "", "%s refers to itself", ids[0])
		return
	}
	b.report(at, "", "components refer to each other in a circle: %s", strings.Join(append(ids, ids[0]), " → "))
}

// order sorts ids so that each comes after those that it depends on. It calls
// cycle with each circle that it finds.
func order(ids []string, deps map[string][]string, cycle func([]string)) []string {
	var sorted, path []string
	state := map[string]int{} // 1: on the path, 2: done
	var visit func(string)
	visit = func(id string) {
		switch state[id] {
		case 1:
			cycle(slices.Clone(path[slices.Index(path, id):]))
			return
		case 2:
			return
		}
		state[id] = 1
		path = append(path, id)
		for _, dep := range deps[id] {
			visit(dep)
		}
		path = path[:len(path)-1]
		state[id] = 2
		sorted = append(sorted, id)
	}
	for _, id := range ids {
		visit(id)
	}
	return sorted
}

// check reports what is wrong with a block that is in error anyway.
func (b *builder) check(block *config.Block) {
	def, known := b.definitions[block.Name]
	if known {
		b.diagnostics = append(b.diagnostics, b.excuse(b.decoding(block, &node{}).Decode(block, reflect.New(def.config).Interface()))...)
	}
}

// block builds the node of a block, or takes it over.
func (b *builder) block(block *config.Block, deps []string) {
	id := block.ID()
	if b.failed[id] {
		b.check(block)
		return
	}
	var depNodes []*node
	for _, dep := range deps {
		depNodes = append(depNodes, b.new.byID[dep]) // nil if that is in error
	}
	fingerprint := block.Fingerprint(b.language)
	if b.old != nil {
		n := b.old.byID[id]
		if n != nil && n.fingerprint == fingerprint && n.sameDeps(depNodes) && n.sameValues(b.lookup) {
			b.add(n)
			return
		}
	}
	start := time.Now()
	n, ds := b.node(block, fingerprint)
	b.metrics.evaluated(id, time.Since(start))
	b.diagnostics = append(b.diagnostics, ds...)
	if n == nil {
		b.failed[id] = true
		return
	}
	n.deps = depNodes
	b.add(n)
}

func (b *builder) add(n *node) {
	b.new.nodes = append(b.new.nodes, n)
	b.new.byID[n.id] = n
	for name, v := range n.exports {
		b.name(v, n.id+"."+name)
	}
	for _, f := range n.flows {
		if !slices.Contains(b.new.flows[f.from], f.to) {
			b.new.flows[f.from] = append(b.new.flows[f.from], f.to)
		}
	}
}

// name remembers what stands for v, a pointer, when it is shown.
func (b *builder) name(v any, name string) {
	if v != nil && reflect.TypeOf(v).Kind() == reflect.Pointer {
		b.opaque[v] = name
	}
}

// node makes the component of a block. It returns nil if the block is in error.
func (b *builder) node(block *config.Block, fingerprint string) (*node, config.Diagnostics) {
	def := b.definitions[block.Name]
	n := &node{id: block.ID(), def: def, fingerprint: fingerprint, registry: prometheus.NewRegistry(), metrics: b.metrics, listeners: b.options.Listeners.View()}
	n.logger = b.options.Logger.With("component_path", "/", "component_id", n.id)
	c := reflect.New(def.config).Interface()
	decoder := b.decoding(block, n)
	if ds := decoder.Decode(block, c); ds != nil {
		return b.standIn(n, append(ds, decoder.Unreadable...))
	}
	n.arguments = config.Encode(c, b.show)
	found := decoder.Unreadable
	err := b.construct(n, block, c, &found)
	if err != nil {
		for _, d := range block.Place(err) {
			if !d.Missing || len(decoder.Unreadable) == 0 { // which file it is has been said already
				found = append(found, d)
			}
		}
		return b.standIn(n, found)
	}
	if found = b.excuse(found); found.Err() != nil {
		return nil, found
	}
	return n, found
}

// construct makes the component of n, and adds its warnings to found.
func (b *builder) construct(n *node, block *config.Block, c any, found *config.Diagnostics) error {
	err := guard(func() (err error) {
		n.component, err = n.def.make(c, b.componentOptions(n, block, found))
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

func (b *builder) show(v any) (any, bool) {
	if v == nil {
		return nil, false
	}
	if reflect.TypeOf(v).Kind() == reflect.Pointer && b.opaque[v] != "" {
		return b.opaque[v], true
	}
	if data := taken(v); data != "" {
		return "(receiver of " + data + ")", true
	}
	return nil, false
}

func (b *builder) componentOptions(n *node, block *config.Block, warnings *config.Diagnostics) component.Options {
	o := b.options
	return component.Options{
		ID: n.id, Logger: n.logger, Orphans: o.Orphans, Docker: o.Docker, Listeners: n.listeners, UserAgent: o.UserAgent,
		Metrics: prometheus.WrapRegistererWith(prometheus.Labels{"component_path": "/", "component_id": n.id}, n.registry),
		Dir:     filepath.Join(o.StoragePath, n.id),
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

// guard turns a panic of a component into an error: a reload must never end
// what runs.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{value: r, stack: debug.Stack()}
		}
	}()
	return f()
}

type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("BUG: panic: %v", e.value) }
