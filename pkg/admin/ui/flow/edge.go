// Package flow is what the pages show of data on its way: the edges between
// components, and the destinations.
package flow

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
	"collector/pkg/human"
)

// EdgeRate is the flow of one signal from one component to another.
type EdgeRate struct {
	From           string  `json:"from"`
	To             string  `json:"to"`
	Signal         string  `json:"signal"`
	ItemsPerSecond float64 `json:"itemsPerSecond"`
	BytesPerSecond float64 `json:"bytesPerSecond"`
	// Items is the total since the edge exists.
	Items uint64 `json:"items"`
	// Recent is items per second over the last minutes, oldest first.
	Recent []float64 `json:"recent,omitempty"`
}

// PerSecond is a rate with its unit, or "–" while there are no readings.
func PerSecond(rate float64, readings []float64, unit string) string {
	if rate == 0 && len(readings) == 0 {
		return "–"
	}
	return page.Short(rate) + unit
}

// Text is the rate in words.
func (r *EdgeRate) Text() string {
	return PerSecond(r.ItemsPerSecond, r.Recent, " "+UnitOf(r.Signal)+"/s")
}

// Rates are the current rates on edges.
type Rates interface{ EdgeRates() []EdgeRate }

// Edge is where data flows from one component to another.
type Edge struct {
	From  string     `json:"from"`
	To    string     `json:"to"`
	Rates []EdgeRate `json:"rates"`
	// Watch is the URL of the live view; empty where targets flow, and for an edge
	// that groups several.
	Watch string `json:"-"`
}

// WatchLink leads to the Live page of an edge.
func (e Edge) WatchLink(text string) g.Node {
	if e.Watch == "" {
		return nil
	}
	return h.A(h.Href(e.Watch), g.Text(text), h.Span(h.Class("sr"), g.Text(" "+EdgeName(e.From, e.To))))
}

// EdgeName names an edge; either end may be any.
func EdgeName(from, to string) string { return cmp.Or(from, "any") + " → " + cmp.Or(to, "any") }

// MaxEdges is how many edges a page lists.
const MaxEdges = 300

// BySignal sums rates by signal.
func BySignal(rates []EdgeRate) []EdgeRate {
	sums := map[string]EdgeRate{}
	for _, r := range rates {
		sum := sums[r.Signal]
		sum.Signal = r.Signal
		sum.ItemsPerSecond += r.ItemsPerSecond
		sum.BytesPerSecond += r.BytesPerSecond
		sum.Recent = AddSeries(sum.Recent, r.Recent)
		sums[r.Signal] = sum
	}
	return slices.SortedFunc(maps.Values(sums), func(a, b EdgeRate) int { return strings.Compare(a.Signal, b.Signal) })
}

// RateText is the rates on an edge, in one line.
func RateText(rates []EdgeRate) string {
	var parts []string
	for _, r := range rates {
		parts = append(parts, r.Text())
	}
	return strings.Join(parts, ", ")
}

// UnitOf is what one signal counts: samples, lines, spans or profiles.
func UnitOf(signal string) string { return human.Unit(signal) }

// Amount is n items of a signal: "1 span", "2,000 lines".
func Amount(n uint64, signal string) string {
	return page.Many(int(n), strings.TrimSuffix(UnitOf(signal), "s"))
}

// AddSeries adds values that end at the same time.
func AddSeries(a, b []float64) []float64 {
	if len(a) < len(b) {
		a, b = b, a
	}
	sum := slices.Clone(a)
	for i, v := range b {
		sum[len(a)-len(b)+i] += v
	}
	return sum
}

// ByEdge groups rates by the two ends of their edges.
func ByEdge(rates []EdgeRate) map[[2]string][]EdgeRate {
	all := map[[2]string][]EdgeRate{}
	for _, rate := range rates {
		key := [2]string{rate.From, rate.To}
		all[key] = append(all[key], rate)
	}
	return all
}
