package ui

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/graph"
)

// componentRow is one component in the list.
type componentRow struct {
	ID           string       `json:"id"`
	Name         string       `json:"name"`
	Label        string       `json:"label"`
	Health       graph.Health `json:"health"`
	File         string       `json:"file"`
	Line         int          `json:"line"`
	ReferencesTo []string     `json:"referencesTo"`
	ReferencedBy []string     `json:"referencedBy"`
	FlowsTo      []string     `json:"dataFlowEdgesTo"`
}

func (u *UI) componentsModel(r *http.Request) (Paged[componentRow], error) {
	l := ParseListing(r, "position")
	s := u.options.Source.Summary()
	rows := make([]componentRow, 0, len(s.Components))
	for _, c := range s.Components {
		rows = append(rows, componentRow{c.ID, c.Name, c.Label, c.Health, c.File, c.Line, c.ReferencesTo, c.ReferencedBy, c.FlowsTo})
	}
	return Select(l, rows, func(c componentRow) bool {
		return l.Matches(c.ID, string(c.Health.State), c.Health.Message)
	}, compareComponents), nil
}

func compareComponents(column string, a, b componentRow) int {
	switch column {
	case "id":
		return strings.Compare(a.ID, b.ID)
	case "health":
		return cmp.Compare(severity(a.Health.State), severity(b.Health.State))
	case "since":
		return b.Health.UpdatedTime.Compare(a.Health.UpdatedTime)
	}
	return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
}

// severity puts what is wrong first.
func severity(s graph.HealthState) int {
	switch s {
	case graph.Unhealthy:
		return 0
	case graph.Unknown:
		return 1
	case graph.Exited:
		return 2
	}
	return 3
}

func (u *UI) componentsPage(r *http.Request, p Paged[componentRow]) Page {
	l := ParseListing(r, "position")
	var rows []g.Node
	for _, c := range p.Items {
		message := c.Health.Message
		if c.Health.State == graph.Healthy {
			message = ""
		}
		rows = append(rows, Row(u.ComponentLink(c.ID), HealthBadge(c.Health.State), Ago(c.Health.UpdatedTime), g.Text(Cut(message, 200)),
			h.A(h.Href(u.sourceHref(c.File, c.Line)), g.Textf("line %d", c.Line))))
	}
	columns := []Column{{Title: "Component", Sort: "id"}, {Title: "Health", Sort: "health"}, {Title: "Since", Sort: "since"}, {Title: "Message"}, {Title: "Defined", Sort: "position"}}
	body := []g.Node{u.SearchForm(l, "Filter components")}
	if len(rows) == 0 {
		body = append(body, Empty("No component matches."))
	} else {
		body = append(body, u.SortedTable(l, "Components", columns, rows...), u.Pager(l, p.Page, p.Pages, p.Total))
	}
	return Page{Title: "Components", Section: "Components", API: "/api/v1/components", Body: body}
}

// componentsHref is the list of components that match query.
func (u *UI) componentsHref(query string) string {
	return u.href("/components?q=" + url.QueryEscape(query))
}
