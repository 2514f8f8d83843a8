package tails

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
	"collector/pkg/inspect"
)

// details are what a tail of its kind has, in a few words each.
func details(t *inspect.LogTail) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	count := func(n uint64, what string) {
		if n > 0 {
			add("%s %s", page.Count(float64(n)), what)
		}
	}
	if t.About != "" {
		add("%s", page.Cut(t.About, 100))
	}
	switch t.Kind {
	case inspect.TailFile:
		if t.Size > 0 || t.Position > 0 {
			add("read to %s of %s", page.Size(float64(t.Position)), page.Size(float64(t.Size)))
		}
		if t.Rotated > 0 {
			add("%s still read", page.Many(t.Rotated, "rotated file"))
		}
	case inspect.TailListener:
		add("%s, %s received", page.Many(int(t.Connections), "connection"), page.Count(float64(t.Received)))
		count(t.Invalid, "not valid")
	case inspect.TailJournal:
		count(t.Lost, "lost")
	}
	count(t.Dropped, "dropped")
	return out
}

// maxUnits is how many units of a journal are named.
const maxUnits = 10

func detailsNode(t *inspect.LogTail) g.Node {
	var nodes []g.Node
	for i, text := range details(t) {
		nodes = append(nodes, g.If(i > 0, h.Br()), g.Text(text))
	}
	if len(t.Units) > 0 {
		nodes = append(nodes, h.Details(h.Summary(g.Text(page.Many(len(t.Units), "unit"))), g.Text(unitsText(t.Units))))
	}
	if t.ReadTo != "" {
		nodes = append(nodes, h.Details(h.Summary(g.Text("cursor")), h.Code(g.Text(page.Cut(t.ReadTo, 300)))))
	}
	if t.Problem != "" {
		nodes = append(nodes, h.Details(h.Summary(g.Text("last problem "), page.Ago(t.ProblemAt)), g.Text(page.Cut(t.Problem, 300))))
	}
	return g.Group(nodes)
}

// unitsText lists the units with the most lines.
func unitsText(units map[string]uint64) string {
	names := slices.SortedFunc(maps.Keys(units), func(a, b string) int { return cmp.Or(cmp.Compare(units[b], units[a]), strings.Compare(a, b)) })
	var parts []string
	for i, name := range names {
		if i == maxUnits {
			parts = append(parts, fmt.Sprintf("and %d more", len(names)-i))
			break
		}
		parts = append(parts, page.Cut(name, 80)+": "+page.Count(float64(units[name])))
	}
	return strings.Join(parts, ", ")
}

// errorNode is an error, with what it means and what to do where that is known.
func errorNode(t *inspect.LogTail) g.Node {
	if t.Cause == "" {
		return page.ErrorCell(t.Error)
	}
	return h.Span(h.Class("error"), g.Text(page.Cut(t.Cause, 300)+" "), h.Strong(g.Text(page.Cut(t.Fix, 300))),
		h.Details(h.Summary(g.Text("Error message")), h.Code(g.Text(page.Cut(t.Error, 200)))))
}
