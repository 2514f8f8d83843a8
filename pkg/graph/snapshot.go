package graph

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/discovery"
)

// Snapshot is how the components are at one moment. It is made to be shown:
// secrets are hidden.
type Snapshot struct {
	// Hash is that of the configuration's text.
	Hash     string    `json:"hash"`
	LoadedAt time.Time `json:"loadedAt"`
	// LoadError is why the last attempt to load a configuration failed; it is
	// empty when that succeeded.
	LoadError  string          `json:"loadError,omitempty"`
	Components []ComponentInfo `json:"components"`
}

// ComponentInfo is how one component is.
type ComponentInfo struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Label   string `json:"label"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	EndLine int    `json:"endLine"`
	// Hash is that of the block's text.
	Hash         string   `json:"hash"`
	ReferencesTo []string `json:"referencesTo"`
	ReferencedBy []string `json:"referencedBy"`
	// FlowsTo are the components to which this one gives data or targets.
	FlowsTo   []string        `json:"dataFlowEdgesTo"`
	Health    Health          `json:"health"`
	Arguments json.RawMessage `json:"arguments"`
	Exports   json.RawMessage `json:"exports"`
	// Status is what the component itself has to show; Component fills it in.
	Status json.RawMessage `json:"status,omitempty"`
}

// Snapshot says how all components are, in the order of the source.
func (c *Controller) Snapshot() Snapshot {
	g := c.graph()
	s := Snapshot{Hash: g.hash, LoadedAt: g.loaded, Components: []ComponentInfo{}}
	if failure := c.failure.Load(); failure != nil {
		s.LoadError = *failure
	}
	for _, n := range g.nodes {
		s.Components = append(s.Components, g.info(n))
	}
	slices.SortFunc(s.Components, func(a, b ComponentInfo) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		return a.Line - b.Line
	})
	return s
}

// Component says how one component is, with its status.
func (c *Controller) Component(id string) (ComponentInfo, bool) {
	g := c.graph()
	n := g.byID[id]
	if n == nil {
		return ComponentInfo{}, false
	}
	info := g.info(n)
	if s, ok := n.component.(statuser); ok {
		var status any
		err := guard(func() error { status = s.Status(); return nil })
		if err == nil {
			info.Status, err = json.Marshal(status)
		}
		if err != nil {
			info.Status, _ = json.Marshal(map[string]string{"error": err.Error()})
		}
	}
	return info, true
}

func (g *graph) info(n *node) ComponentInfo {
	block := g.blocks[n.id]
	info := ComponentInfo{
		ID: n.id, Name: block.Name, Label: block.Label, File: block.At.File, Line: block.Line, EndLine: block.EndLine,
		Hash: block.Hash(), ReferencesTo: []string{}, ReferencedBy: []string{}, FlowsTo: slices.Clone(g.flows[n.id]),
		Health: n.health(), Arguments: n.arguments, Exports: n.showExports(),
	}
	if info.FlowsTo == nil {
		info.FlowsTo = []string{}
	}
	for _, dep := range n.deps {
		info.ReferencesTo = append(info.ReferencesTo, dep.id)
	}
	for _, other := range g.nodes {
		if slices.Contains(other.deps, n) {
			info.ReferencedBy = append(info.ReferencedBy, other.id)
		}
	}
	return info
}

// showExports is the exports as JSON, by name.
func (n *node) showExports() json.RawMessage {
	shown := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(n.exports)) {
		shown[name] = showExport(n.exports[name])
	}
	text, err := json.Marshal(shown)
	if err != nil {
		text, _ = json.Marshal(map[string]string{"error": err.Error()})
	}
	return text
}

func showExport(v any) any {
	switch v := v.(type) {
	case *discovery.Set:
		targets, _ := v.Targets()
		return objects(targets)
	case *discovery.Rules:
		rules := []json.RawMessage{}
		for _, r := range v.Source() {
			rules = append(rules, config.Encode(&r, func(any) (any, bool) { return nil, false }))
		}
		return rules
	case component.Secret:
		return v
	}
	if data := taken(v); data != "" {
		return "(receiver of " + data + ")"
	}
	if v != nil && reflect.TypeOf(v).Kind() == reflect.Pointer {
		return "(" + reflect.TypeOf(v).Elem().Name() + ")"
	}
	return v
}
