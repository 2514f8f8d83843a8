package graph

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"collector/pkg/config"
	"collector/pkg/live"
	"collector/pkg/mask"
)

// Snapshot is the state of the components at one moment. It is made to be shown: secrets
// are hidden.
type Snapshot struct {
	// Hash is the hash of the configuration's text.
	Hash     string    `json:"hash"`
	LoadedAt time.Time `json:"loadedAt"`
	// LoadError is why the last attempt to load a configuration failed; it is
	// empty when that succeeded.
	LoadError  string          `json:"loadError,omitempty"`
	Components []ComponentInfo `json:"components"`
}

// ComponentInfo is the state of one component.
type ComponentInfo struct {
	ID string `json:"id"`
	// Module is the id of the component that it is a part of; empty for those of
	// the configuration itself. Local is its id there.
	Module  string `json:"module,omitempty"`
	Local   string `json:"local"`
	Name    string `json:"name"`
	Label   string `json:"label"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	EndLine int    `json:"endLine"`
	// Hash is the hash of the block's text.
	Hash         string   `json:"hash"`
	ReferencesTo []string `json:"referencesTo"`
	ReferencedBy []string `json:"referencedBy"`
	// FlowsTo are the components to which this one gives data or targets.
	FlowsTo   []string        `json:"dataFlowEdgesTo"`
	Health    Health          `json:"health"`
	Arguments json.RawMessage `json:"arguments"`
	Exports   json.RawMessage `json:"exports"`
	// Status is what the component itself has to show; Component fills it in,
	// as it does History.
	Status json.RawMessage `json:"status,omitempty"`
	// History is how the health has changed, the oldest change first.
	History []Health `json:"healthHistory,omitempty"`
}

// Snapshot returns the state of all components, in the order of the source.
func (c *Controller) Snapshot() Snapshot { return c.snapshot(true) }

// Summary is a Snapshot without arguments and exports, which are what costs
// when there are thousands of targets.
func (c *Controller) Summary() Snapshot { return c.snapshot(false) }

func (c *Controller) snapshot(values bool) Snapshot {
	g := c.graph()
	s := Snapshot{Hash: g.hash, LoadedAt: g.loaded, Components: make([]ComponentInfo, 0, len(g.nodes))}
	if failure := c.failure.Load(); failure != nil {
		s.LoadError = failure.Error
	}
	for _, g := range []*graph{g, c.graphBeside()} {
		referrers := g.referrers()
		for _, n := range g.nodes {
			if n.hidden {
				continue
			}
			info := g.summary(n, referrers)
			if values {
				info = g.withValues(n, info)
			}
			s.Components = append(s.Components, info)
		}
	}
	slices.SortFunc(s.Components, func(a, b ComponentInfo) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		return a.Line - b.Line
	})
	return s
}

// Edges are those on which data flows at the moment, in the order in which the
// components were built.
func (c *Controller) Edges() []*live.Edge {
	var edges []*live.Edge
	for _, n := range c.nodes() {
		edges = append(edges, n.edges...)
	}
	return edges
}

// Components calls f with each component of the configuration in force, as its
// constructor made it. No lock is held in the meantime.
func (c *Controller) Components(f func(id string, component any)) {
	for _, n := range c.nodes() {
		f(n.id, n.component)
	}
}

// FlowsTo are the ids of the components to which one gives data or targets.
func (c *Controller) FlowsTo(id string) []string {
	g, n := c.find(id)
	if n == nil {
		return nil
	}
	return g.flows[n.id]
}

// Place is where the argument or block of a component is defined to which path leads,
// as component.At has it; where the component is if it has nothing of it.
func (c *Controller) Place(id, path string) config.Range {
	g, n := c.find(id)
	if n == nil {
		return config.Range{}
	}
	if path == "" {
		return g.blocks[n.id].At
	}
	at, _ := g.blocks[n.id].Find(path)
	return at
}

// Component returns the state of one component, with its status.
func (c *Controller) Component(id string) (ComponentInfo, bool) {
	g, n := c.find(id)
	if n == nil {
		return ComponentInfo{}, false
	}
	info := g.info(n)
	info.History = n.healthHistory()
	if s, ok := n.component.(statuser); ok {
		var status any
		err := guard(func() error { status = s.Status(); return nil })
		if err == nil {
			info.Status, err = json.Marshal(status)
		}
		if err != nil {
			info.Status, _ = json.Marshal(map[string]string{"error": err.Error()})
		}
		info.Status = json.RawMessage(mask.WithoutMembers(string(info.Status)))
	}
	return info, true
}

// referrers are, by id, the ids of the components that refer to it.
func (g *graph) referrers() map[string][]string {
	out := map[string][]string{}
	for _, n := range g.nodes {
		for _, id := range g.refs[n.id] {
			out[id] = append(out[id], n.id)
		}
	}
	return out
}

// info is the state of n.
func (g *graph) info(n *node) ComponentInfo { return g.withValues(n, g.summary(n, g.referrers())) }

func (g *graph) withValues(n *node, info ComponentInfo) ComponentInfo {
	info.Arguments, info.Exports = n.arguments, g.showExports(n)
	return info
}

// summary is the state of n, without its arguments and exports.
func (g *graph) summary(n *node, referrers map[string][]string) ComponentInfo {
	block := g.blocks[n.id]
	info := ComponentInfo{
		ID: n.id, Module: strings.TrimPrefix(n.path, "/"), Local: n.local, Name: block.Name, Label: block.Label, File: block.At.File, Line: block.Line, EndLine: block.EndLine,
		Hash: block.Hash(), ReferencesTo: []string{}, ReferencedBy: []string{}, FlowsTo: []string{}, Health: n.health(),
	}
	info.ReferencedBy = append(info.ReferencedBy, referrers[n.id]...)
	info.FlowsTo = append(info.FlowsTo, g.flows[n.id]...)
	info.ReferencesTo = append(info.ReferencesTo, g.refs[n.id]...)
	return info
}

// showExports is the exports as JSON, by name.
func (g *graph) showExports(n *node) json.RawMessage {
	shown := map[string]any{}
	exports := g.exports[n]
	for _, name := range slices.Sorted(maps.Keys(exports)) {
		shown[name] = n.kinds.show(exports[name].raw)
	}
	text, err := json.Marshal(shown)
	if err != nil {
		text, _ = json.Marshal(map[string]string{"error": err.Error()})
	}
	return text
}
