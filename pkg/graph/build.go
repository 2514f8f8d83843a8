package graph

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/listen"
	"collector/pkg/pipeline"
)

// maxComponents bounds what a configuration may make of itself: a few lines of
// declare can ask for more components than any machine can run.
const maxComponents = 20_000

// builder builds one graph of one configuration, and collects everything that
// is wrong with it.
type builder struct {
	options     Options
	definitions map[string]component.Definition
	metrics     *metrics
	language    *config.Language
	old         *graph // may be nil
	new         *graph
	opaque      map[any]string // what represents receivers, sets and rules when they are shown
	made        int            // blocks built so far
	traced      bool           // what is built is for spans, too
	diagnostics config.Diagnostics
}

// build reads sources into a graph whose nodes are made but not bound and not
// started. Nodes of old that are not affected by any change are kept.
func build(o Options, m *metrics, sources []config.Source, old *graph) (*graph, config.Diagnostics) {
	return buildWith(config.NewLanguage(o.Version), o, m, sources, old)
}

func buildWith(l *config.Language, o Options, m *metrics, sources []config.Source, old *graph) (*graph, config.Diagnostics) {
	if o.Listeners == nil {
		o.Listeners = listen.NewPool()
	}
	b := &builder{
		options: o, definitions: map[string]component.Definition{}, metrics: m, language: l,
		old: old, new: newGraph(), opaque: map[any]string{},
	}
	for _, d := range o.Definitions {
		b.definitions[d.Name] = d
	}
	b.new.hash, b.new.language = hashOf(sources), l
	doc, ds := config.Parse(sources)
	b.diagnostics, b.traced = ds, b.traces(doc)
	root := b.scope(o.module, doc)
	folder := folderOf(sources)
	if o.folder != nil {
		folder = o.folder()
	}
	root.vars["module_path"] = value{raw: folder}
	root.build()
	return b.new, b.diagnostics.Unique()
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

// errors is how many errors have been found so far.
func (b *builder) errors() int { return len(b.diagnostics.Errors()) }

// allow counts one more block that is built, and reports the first that is too
// many.
func (b *builder) allow(block *config.Block) bool {
	b.made++
	if b.made == maxComponents+1 {
		b.report(block.At, "", "the configuration creates more than %d components", maxComponents)
	}
	return b.made <= maxComponents
}

// known reports whether there is a component called name.
func (b *builder) known(name string) bool {
	_, ok := b.definitions[name]
	return ok
}

func (b *builder) add(n *node, exports map[string]value) {
	b.new.nodes = append(b.new.nodes, n)
	b.new.byID[n.id] = n
	b.new.exports[n] = exports
	for name, v := range exports {
		if v.owned(n) {
			b.name(v.raw, n.id+"."+name)
		}
	}
	for _, f := range n.flows {
		if !slices.Contains(b.new.flows[f.from], f.to) {
			b.new.flows[f.from] = append(b.new.flows[f.from], f.to)
		}
	}
}

// owned reports whether v is of n alone.
func (v value) owned(n *node) bool { return len(v.deps) == 1 && v.deps[0] == n }

// name remembers what represents v, a pointer, when it is shown.
func (b *builder) name(v any, name string) {
	if v != nil && reflect.TypeOf(v).Kind() == reflect.Pointer {
		b.opaque[v] = name
	}
}

func (b *builder) show(v any) (any, bool) {
	if v == nil {
		return nil, false
	}
	if reflect.TypeOf(v).Kind() == reflect.Pointer && b.opaque[v] != "" {
		return b.opaque[v], true
	}
	if k := b.options.Kinds.of(v); k.Carries != "" {
		return receiverOf(k), true
	}
	return nil, false
}

// content is what a live value is now. When that changes, the configuration is
// evaluated again.
func (b *builder) content(of pipeline.Live) any {
	now, changed := of.Now()
	if !slices.Contains(b.new.watched, changed) {
		b.new.watched = append(b.new.watched, changed)
	}
	return generic(now)
}

// order sorts ids so that each comes after those that it depends on. It calls cycle with
// each cycle that it finds.
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
