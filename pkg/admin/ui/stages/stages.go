// Package stages is the page that shows what each stage of a component does to a log
// line, step by step.
package stages

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/inspect"
)

// Page is what stages make of log lines: the components with stages, and for each of
// them the lines that came in and what its stages do to one.
type Page struct {
	Site      *page.Site
	Redactor  *redact.Redactor
	Inventory Inventory
}

// Inventory is the components with stages.
type Inventory interface {
	Stages() []inspect.Stages
}

// Routes are the paths of the pages.
func (p *Page) Routes() []page.Route {
	return slices.Concat(
		page.Both("GET /stages", "GET /api/v1/stages", p.listModel, p.listView),
		page.Both("GET /stages/{component}", "GET /api/v1/stages/{component}", p.recentModel, p.traceView),
		page.Both("POST /stages/{component}", "POST /api/v1/stages/{component}", p.givenModel, p.traceView),
	)
}

// Path is the page of a component, without the prefix.
func Path(component string) string { return "/stages/" + url.PathEscape(component) }

// Components are the ids of the components that do something to lines.
func (p *Page) Components() []string {
	var ids []string
	for _, s := range p.Inventory.Stages() {
		if len(s.List) > 0 {
			ids = append(ids, s.Component)
		}
	}
	return ids
}

// summary is a component with stages.
type summary struct {
	Component string `json:"component"`
	Stages    int    `json:"stages"`
	File      string `json:"file"`
	Line      int    `json:"line"`
	// LastEntry is when the last entry arrived that the page can trace through the
	// stages.
	LastEntry time.Time `json:"lastEntry,omitzero"`
	Names     []string  `json:"names"` // of the stages, in order
}

func (p *Page) listModel(r *http.Request) (page.Paged[summary], error) {
	l := page.ParseListing(r, "component")
	all := []summary{}
	for _, s := range p.Inventory.Stages() {
		row := summary{Component: s.Component, Stages: len(s.List), Names: []string{}}
		for _, stage := range s.List {
			row.Names = append(row.Names, stage.Name)
		}
		if len(s.List) > 0 {
			row.File, row.Line = s.List[0].File, s.List[0].Line
		}
		if recent := s.Recent(); len(recent) > 0 {
			row.LastEntry = recent[0].Came
		}
		all = append(all, row)
	}
	return page.Select(l, all, func(s summary) bool {
		return l.Query == "" || l.Matches(s.Component, strings.Join(s.Names, " "))
	}, compare), nil
}

func compare(column string, a, b summary) int {
	first := 0
	switch column {
	case "stages":
		first = a.Stages - b.Stages
	case "last":
		first = a.LastEntry.Compare(b.LastEntry)
	}
	if first != 0 {
		return first
	}
	return strings.Compare(a.Component, b.Component)
}

func (p *Page) listView(r *http.Request, m page.Paged[summary]) page.Content {
	l := page.ParseListing(r, "component")
	var rows []g.Node
	for _, s := range m.Items {
		rows = append(rows, page.Row(
			h.A(h.Class("id"), h.Href(p.Site.Href(Path(s.Component))), g.Text(s.Component)),
			page.Num(strconv.Itoa(s.Stages)), g.Text(page.Cut(strings.Join(s.Names, ", "), 300)), page.Ago(s.LastEntry)))
	}
	columns := []page.Column{{Title: "Component", Sort: "component"}, {Title: "Stages", Numeric: true, Sort: "stages"}, {Title: "In order"}, {Title: "Last line", Sort: "last"}}
	body := []g.Node{
		h.P(g.Text("Shows what each stage does to a log line: what it changes, and why it drops a line or leaves it alone. Select a component to see its last lines, or to try a line of your own.")),
		p.Site.SearchForm(l, "Component or stage"),
	}
	if len(m.Items) == 0 {
		body = append(body, page.Empty("Nothing matches. Components that change log lines are listed: loki.process, loki.secretfilter and loki.enrich. What loki.relabel does is on the Relabel page."))
	} else {
		body = append(body, p.Site.SortedTable(l, "Components with stages", columns, rows...), p.Site.Pager(l, m.Page, m.Pages, m.Total))
	}
	return page.Content{Title: "Stages", API: "/api/v1/stages", Body: body}
}
