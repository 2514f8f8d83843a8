package graph

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/listen"
	"collector/pkg/live"
	"collector/pkg/spans"
)

// node is one component of a graph. What is above mu never changes after the
// node was built.
type node struct {
	id          string // among all components, such as "mine.a/loki.write.out"
	path, local string // the module and the id within it, such as "/mine.a" and "loki.write.out"
	def         component.Definition
	fingerprint string
	component   component.Component
	exports     map[string]any
	deps        []*node          // those that made the values that it refers to
	values      []valueUsed      // the values that it was built with
	args        map[string]value // of a block that is the language's own, or a custom component
	loop        foreachConfig
	optional    bool // of a block argument
	hidden      bool // not a component, but something that keeps a set of targets up to date
	silent      bool // its metrics are not shown
	flows       []flow
	edges       []*live.Edge // to the receivers that it was given
	arguments   []byte       // JSON
	derived     []*derived
	registry    *prometheus.Registry
	logger      *slog.Logger
	metrics     *metrics
	spans       *spans.Provider
	listeners   *listen.Pool // the node's own view
	kinds       kinds

	// Set by start.
	cancel func()        // ends the run
	begun  chan struct{} // closed when the first run begins
	done   chan struct{} // closed when the run has ended

	changed atomic.Bool // what it exports differs from n.exports
	pending atomic.Bool // what it exports has changed, but the graph has not yet

	mu      sync.Mutex
	stale   error     // why what it exports now cannot be put into force
	loaded  bool      // the graph that the node was built for is in force
	began   time.Time // when the first graph that has the node was put in force; guarded by mu
	run     runState
	healthy Health // as last computed, to tell when it changed
	history []Health
}

// flow is a pair of components between which data flows.
type flow struct{ from, to string }

// graph is a set of components that fit together.
type graph struct {
	nodes  []*node // each after those that it refers to
	byID   map[string]*node
	blocks map[string]*config.Block
	flows  map[string][]string // by the id of where data comes from: where it goes
	refs   map[string][]string // by id: the ids of those that a component refers to
	hash   string
	loaded time.Time
	// exports are what the nodes exported when the graph was built.
	exports map[*node]map[string]value
	// modules are what the imports had read when the graph was built.
	modules map[*node]component.Module
	// watched are closed when something has changed that the graph was made of.
	watched []<-chan struct{}
	// evaluations are for spans; nil if nobody wants any.
	evaluations []evaluation
	language    *config.Language

	sources  []config.Source
	warnings config.Diagnostics
}

func newGraph() *graph {
	return &graph{byID: map[string]*node{}, blocks: map[string]*config.Block{}, flows: map[string][]string{}, refs: map[string][]string{}, exports: map[*node]map[string]value{}, modules: map[*node]component.Module{}}
}

// has reports whether n, and not only one of its name, is in g.
func (g *graph) has(n *node) bool { return g != nil && g.byID[n.id] == n }
