package graph

import (
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/listen"
	"collector/pkg/live"
)

// node is one component of a graph. What is above mu never changes after the
// node was built.
type node struct {
	id          string
	def         component.Definition
	fingerprint string
	component   component.Component
	exports     map[string]any
	deps        []*node     // those that it refers to
	values      []valueUsed // the plain values that it was built with
	flows       []flow
	edges       []*live.Edge // to the receivers that it was given
	arguments   []byte       // JSON
	derived     []*derived
	registry    *prometheus.Registry
	logger      *slog.Logger
	metrics     *metrics
	listeners   *listen.Pool // the node's own view
	kinds       kinds

	// Set by start.
	cancel func()        // ends the run
	begun  chan struct{} // closed when the first run begins
	done   chan struct{} // closed when the run has ended

	mu      sync.Mutex
	loaded  bool // the graph that the node was built for is in force
	run     runState
	healthy Health // as last computed, to tell when it changed
	history []Health
}

// valueUsed is a plain value of another component at the time when a node was
// built.
type valueUsed struct {
	ref   config.Reference
	value any
}

// flow says that data goes from one component to another.
type flow struct{ from, to string }

// graph is a set of components that fit together.
type graph struct {
	nodes  []*node // each after those that it refers to
	byID   map[string]*node
	blocks map[string]*config.Block
	flows  map[string][]string // by the id of where data comes from: where it goes
	hash   string
	loaded time.Time

	sources  []config.Source
	warnings config.Diagnostics
}

func newGraph() *graph {
	return &graph{byID: map[string]*node{}, blocks: map[string]*config.Block{}, flows: map[string][]string{}}
}

// has tells whether n, and not only one of its name, is in g.
func (g *graph) has(n *node) bool { return g != nil && g.byID[n.id] == n }

// sameDeps tells whether n refers to the very nodes that deps are.
func (n *node) sameDeps(deps []*node) bool {
	if len(n.deps) != len(deps) {
		return false
	}
	for i := range deps {
		if n.deps[i] != deps[i] {
			return false
		}
	}
	return true
}

// sameValues tells whether the plain values that n was built with are what
// resolve gives now.
func (n *node) sameValues(resolve config.Resolver) bool {
	for _, used := range n.values {
		value, _, err := resolve(used.ref)
		if err != nil || !reflect.DeepEqual(value, used.value) {
			return false
		}
	}
	return true
}
