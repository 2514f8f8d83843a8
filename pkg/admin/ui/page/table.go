package page

import (
	"strconv"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// Column is the head of a table's column.
type Column struct {
	Title   string
	Numeric bool
	Sort    string // the key by which a Listing sorts; "" for none
}

// Table is a table with a caption for screen readers. Rows are made by Row.
func Table(caption string, columns []Column, rows ...g.Node) g.Node {
	return table(caption, headsOf(columns), rows)
}

func headsOf(columns []Column) (heads []g.Node) {
	for _, c := range columns {
		heads = append(heads, h.Th(h.Scope("col"), g.If(c.Numeric, h.Class("n")), g.Text(c.Title)))
	}
	return heads
}

// GroupedTable is a Table whose rows are in groups made by RowGroup.
func GroupedTable(caption string, columns []Column, groups ...g.Node) g.Node {
	return tableOf(caption, headsOf(columns), groups)
}

// RowGroup is rows below their own heading, which spans all columns.
func RowGroup(columns int, heading g.Node, rows ...g.Node) g.Node {
	return h.TBody(h.Tr(h.Class("group"), h.Th(h.Scope("rowgroup"), h.ColSpan(strconv.Itoa(columns)), heading)), g.Group(rows))
}

func table(caption string, heads, rows []g.Node) g.Node {
	return tableOf(caption, heads, []g.Node{h.TBody(rows...)})
}

func tableOf(caption string, heads, bodies []g.Node) g.Node {
	return h.Div(h.Class("scroll"), h.Role("region"), h.TabIndex("0"), g.Attr("aria-label", caption),
		h.Table(h.Caption(h.Class("sr"), g.Text(caption)), h.THead(h.Tr(heads...)), g.Group(bodies)))
}

// Row is a row whose first cell is its heading.
func Row(cells ...g.Node) g.Node {
	if len(cells) == 0 {
		return h.Tr()
	}
	nodes := []g.Node{h.Th(h.Scope("row"), cells[0])}
	for _, c := range cells[1:] {
		nodes = append(nodes, h.Td(c))
	}
	return h.Tr(nodes...)
}
