package api

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// page is the document for people. It is made without html/template, which
// would keep the linker from omitting methods that nobody calls.
func (d document) page() g.Node {
	body := []g.Node{
		h.H1(g.Text(d.Info.Title+" "), h.Small(g.Text(d.Info.Version))),
		h.P(g.Text(d.Info.Description)),
		h.P(g.Text("For programs: "), h.A(h.Href("/docs/openapi.json"), g.Text("openapi.json"))),
	}
	for _, s := range d.sections() {
		body = append(body, h.H2(g.Text(s.Name)), h.P(g.Text(s.Description)), g.Map(s.Operations, listed.node))
	}
	body = append(body, h.H2(g.Text("Schemas")))
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		body = append(body, h.Details(
			h.Summary(code(name)),
			h.Div(h.Pre(g.Text(string(d.Components.Schemas[name])))),
		))
	}
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.TitleEl(g.Text(d.Info.Title+" API")),
			h.StyleEl(g.Raw(docsStyle)),
		),
		h.Body(body...),
	))
}

func (o listed) node() g.Node {
	body := []g.Node{g.If(o.Description != "", h.P(g.Text(o.Description)))}
	if len(o.Parameters) > 0 {
		var rows []g.Node
		for _, p := range o.Parameters {
			in := p.In
			if p.Required {
				in += ", required"
			}
			rows = append(rows, h.Tr(h.Td(code(p.Name)), h.Td(g.Text(in)), h.Td(schema(p.Schema))))
		}
		body = append(body, h.H4(g.Text("Parameters")), h.Table(rows...))
	}
	for _, contentType := range slices.Sorted(maps.Keys(o.RequestBody.Content)) {
		content := o.RequestBody.Content[contentType]
		body = append(body, h.H4(g.Text("Body")),
			h.P(code(contentType), g.Text(", "+schemaText(content.Schema))), h.Pre(g.Text(schemaText(content.Example))))
	}
	body = append(body, h.H4(g.Text("Responses")), h.Table(o.responses()...))
	return h.Details(
		h.Summary(h.B(h.Class("method "+o.Method), g.Text(o.Method)), g.Text(" "), code(o.Path), g.Text(" "+o.Summary)),
		h.Div(body...),
	)
}

func (o listed) responses() (rows []g.Node) {
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
		response := o.Responses[status]
		var content []g.Node
		for _, contentType := range slices.Sorted(maps.Keys(response.Content)) {
			content = append(content, code(contentType), g.Text(" "), schema(response.Content[contentType].Schema))
		}
		rows = append(rows, h.Tr(h.Td(h.B(g.Text(status))), h.Td(g.Text(response.Description)), h.Td(content...)))
	}
	return rows
}

func code(text string) g.Node { return h.Code(g.Text(strings.TrimSpace(text))) }

func schema(raw json.RawMessage) g.Node { return code(schemaText(raw)) }
