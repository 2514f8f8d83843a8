package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/mask"
)

// value is JSON whose fields keep their order.
type value struct {
	kind   valueKind
	text   string
	fields []field
	items  []value
}

type field struct {
	name  string
	value value
}

type valueKind int

const (
	scalar valueKind = iota // a number, true, false or null
	text
	object
	list
)

// parseValue reads JSON.
func parseValue(raw json.RawMessage) (value, error) {
	if len(raw) == 0 {
		return value{text: "null"}, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return readValue(d)
}

func readValue(d *json.Decoder) (value, error) {
	t, err := d.Token()
	if err != nil {
		return value{}, err
	}
	switch t := t.(type) {
	case json.Delim:
		v := value{kind: list}
		if t == '{' {
			v.kind = object
		}
		for d.More() {
			if err := v.readElement(d); err != nil {
				return v, err
			}
		}
		_, err = d.Token() // the end
		return v, err
	case string:
		return value{kind: text, text: t}, nil
	case nil:
		return value{text: "null"}, nil
	}
	return value{text: fmt.Sprint(t)}, nil
}

func (v *value) readElement(d *json.Decoder) error {
	name := ""
	if v.kind == object {
		t, err := d.Token()
		if err != nil {
			return err
		}
		name, _ = t.(string)
	}
	element, err := readValue(d)
	if v.kind == object {
		v.fields = append(v.fields, field{name, element})
	} else {
		v.items = append(v.items, element)
	}
	return err
}

func (v value) empty() bool {
	return v.kind == object && len(v.fields) == 0 || v.kind == list && len(v.items) == 0 || v.kind == scalar && v.text == "null"
}

func (v value) get(name string) (value, bool) {
	for _, f := range v.fields {
		if f.name == name {
			return f.value, true
		}
	}
	return value{}, false
}

// renderer shows values of any shape, up to a budget: what goes beyond it is
// left to the JSON.
type renderer struct {
	site   *Site
	json   string // the path of the full JSON
	budget int    // bytes left to show; 0 at first, which means maxShown
}

const (
	maxShown  = 60 << 10 // bytes of values in one part of a page
	MaxString = 1000     // bytes of one string
	maxColumn = 12
	CellCost  = 24 // bytes of markup around a value, about
)

// node shows v.
func (r *renderer) node(v value) g.Node {
	if r.budget == 0 {
		r.budget = maxShown
	}
	shown := r.any(v, 0)
	if r.budget < 0 {
		return g.Group{shown, h.P(h.Class("more"), g.Text("Not everything is shown: "), h.A(h.Href(r.site.Href(r.json)), g.Text("all of it as JSON")), g.Text("."))}
	}
	return shown
}

func (r *renderer) any(v value, depth int) g.Node {
	switch {
	case r.budget < 0:
		return h.Span(h.Class("dim"), g.Text("…"))
	case v.kind == object && len(v.fields) > 0:
		return r.object(v, depth)
	case v.kind == list && len(v.items) > 0:
		return r.list(v, depth)
	}
	return r.leaf(v)
}

// leaf shows a value without parts.
func (r *renderer) leaf(v value) g.Node {
	r.budget -= min(len(v.text), MaxString) + CellCost
	switch v.kind {
	case object:
		return h.Span(h.Class("dim"), g.Text("{ }"))
	case list:
		return h.Span(h.Class("dim"), g.Text("none"))
	case scalar:
		return scalarNode(v.text)
	}
	if len(v.text) > len("2006-01-02T") && v.text[4:5] == "-" {
		if t, err := time.Parse(time.RFC3339Nano, v.text); err == nil {
			return Ago(t)
		}
	}
	if v.text == mask.Redacted {
		return h.Span(h.Class("secret"), g.Text(mask.Redacted))
	}
	if v.text == "" {
		return h.Span(h.Class("dim"), g.Text("empty"))
	}
	return h.Code(g.Text(Cut(v.text, MaxString)))
}

func scalarNode(s string) g.Node {
	if s == "null" {
		return h.Span(h.Class("dim"), g.Text("none"))
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		return Num(Count(n))
	}
	return h.Span(h.Class("bool"), g.Text(s))
}

func (r *renderer) object(v value, depth int) g.Node {
	var facts []g.Node
	for _, f := range v.fields {
		if r.budget < 0 {
			break
		}
		r.budget -= len(f.name) + CellCost
		facts = append(facts, Fact(Cut(f.name, 200), r.any(f.value, depth+1)))
	}
	return Facts(facts...)
}

func (r *renderer) list(v value, depth int) g.Node {
	if columns := columnsOf(v); columns != nil && depth < 3 {
		return r.table(v, columns)
	}
	var items []g.Node
	for _, item := range v.items {
		if r.budget < 0 {
			break
		}
		items = append(items, h.Li(r.any(item, depth+1)))
	}
	return h.Ul(append([]g.Node{h.Class("values")}, items...)...)
}

// columnsOf are the field names of v's items, if these are objects.
func columnsOf(v value) []string {
	var names []string
	for _, item := range v.items {
		if item.kind != object {
			return nil
		}
		for _, f := range item.fields {
			if !slices.Contains(names, f.name) {
				if names = append(names, f.name); len(names) > 4*maxColumn {
					return names
				}
			}
		}
	}
	return names
}

func (r *renderer) table(v value, names []string) g.Node {
	if len(names) > maxColumn {
		var items []g.Node
		for i, item := range v.items {
			if r.budget < 0 {
				break
			}
			items = append(items, h.Li(h.Details(g.If(len(v.items) == 1, g.Attr("open")), h.Summary(g.Text(titleOf(item, i))), r.object(item, 1))))
		}
		return h.Ul(append([]g.Node{h.Class("values plain")}, items...)...)
	}
	var columns []Column
	for _, name := range names {
		columns = append(columns, Column{Title: Cut(name, 80)})
	}
	var rows []g.Node
	for _, item := range v.items {
		if r.budget < 0 {
			break
		}
		var cells []g.Node
		for _, name := range names {
			cell, ok := item.get(name)
			if !ok {
				cells = append(cells, g.Text(""))
				continue
			}
			cells = append(cells, r.any(cell, 2))
		}
		rows = append(rows, Row(cells...))
	}
	return Table(fmt.Sprintf("%d entries", len(v.items)), columns, rows...)
}

// titleOf is an item's name, from the first field that has one.
func titleOf(item value, i int) string {
	for _, f := range item.fields {
		if slices.Contains([]string{"__address__", "name", "id", "url"}, strings.ToLower(f.name)) && f.value.text != "" {
			return Cut(f.value.text, 120)
		}
	}
	return "Entry " + strconv.Itoa(i+1)
}

// JSON shows raw; api is the path of all of it.
func (s *Site) JSON(raw json.RawMessage, api, empty string) g.Node {
	v, err := parseValue(raw)
	if err != nil {
		return Notice("bad", g.Text("Cannot show this: "+err.Error()))
	}
	if v.empty() {
		return Empty(empty)
	}
	r := renderer{site: s, json: api}
	return r.node(v)
}
