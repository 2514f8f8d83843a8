package page

import (
	"maps"
	"slices"
	"strconv"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// LabelList shows labels as written in a query.
func LabelList(labels map[string]string) g.Node {
	var nodes []g.Node
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		nodes = append(nodes, h.Span(h.Class("label"), g.Text(Cut(name, 100)+"="+strconv.Quote(Cut(labels[name], 200)))), g.Text(" "))
	}
	return g.Group(nodes)
}

// maxFew is how many labels a row of a list shows.
const maxFew = 5

// FewLabels shows the first labels, without those that have their own column.
func FewLabels(all map[string]string) g.Node {
	var nodes []g.Node
	left := 0
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name == "job" || name == "instance" {
			continue
		}
		if len(nodes) >= 2*maxFew {
			left++
			continue
		}
		nodes = append(nodes, h.Span(h.Class("label"), g.Text(Cut(name, 40)+"="+Cut(all[name], 60))), g.Text(" "))
	}
	if left > 0 {
		nodes = append(nodes, h.Span(h.Class("dim"), g.Textf("and %d more", left)))
	}
	return g.Group(nodes)
}

// maxTableLabels bounds what a page lists of one target.
const maxTableLabels = 300

func LabelTable(caption string, all map[string]string) g.Node {
	if len(all) == 0 {
		return Empty("None.")
	}
	var rows []g.Node
	for i, name := range slices.Sorted(maps.Keys(all)) {
		if i == maxTableLabels {
			rows = append(rows, Row(g.Textf("and %d more", len(all)-i), nil))
			break
		}
		rows = append(rows, Row(h.Code(g.Text(Cut(name, 200))), h.Code(g.Text(Cut(all[name], 500)))))
	}
	return Table(caption, []Column{{Title: "Label"}, {Title: "Value"}}, rows...)
}
