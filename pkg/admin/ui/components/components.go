// Package components is the page that lists the components.
package components

import (
	"cmp"
	"net/http"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
	"collector/pkg/graph"
)

// Page is the list of components.
type Page struct {
	Site   *page.Site
	Source interface{ Summary() graph.Snapshot }
}

// Routes are the paths of the page.
func (p *Page) Routes() []page.Route {
	return page.Both("GET /components", "GET /api/v1/components", p.model, p.view)
}

// row is one component in the list.
type row struct {
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

// list is a page of the components.
type list struct {
	page.Paged[row]
	Notes []string `json:"notes,omitempty"`
}

func (p *Page) model(r *http.Request) (list, error) {
	l := page.ParseListing(r, "position")
	s := p.Source.Summary()
	rows := make([]row, 0, len(s.Components))
	for _, c := range s.Components {
		rows = append(rows, row{c.ID, c.Name, c.Label, c.Health, c.File, c.Line, c.ReferencesTo, c.ReferencedBy, c.FlowsTo})
	}
	found := page.Select(l, rows, func(c row) bool {
		return l.Matches(c.ID, string(c.Health.State), c.Health.Message)
	}, compare)
	return list{found, page.Filters{"q": nil, "sort": {"id", "health", "since", "position"}}.Notes(r.URL.Query())}, nil
}

func compare(column string, a, b row) int {
	switch column {
	case "id":
		return strings.Compare(a.ID, b.ID)
	case "health":
		return cmp.Compare(page.Severity(a.Health.State), page.Severity(b.Health.State))
	case "since":
		return b.Health.UpdatedTime.Compare(a.Health.UpdatedTime)
	}
	return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
}

func (p *Page) view(r *http.Request, list list) page.Content {
	l := page.ParseListing(r, "position")
	var rows []g.Node
	for _, c := range list.Items {
		message := c.Health.Message
		if c.Health.State == graph.Healthy {
			message = ""
		}
		rows = append(rows, page.Row(p.Site.ComponentLink(c.ID), page.HealthBadge(c.Health.State), page.Ago(c.Health.UpdatedTime), g.Text(page.Cut(message, 200)),
			h.A(h.Href(p.Site.SourceHref(c.File, c.Line)), g.Textf("line %d", c.Line))))
	}
	columns := []page.Column{{Title: "Component", Sort: "id"}, {Title: "Health", Sort: "health"}, {Title: "Since", Sort: "since"}, {Title: "Message"}, {Title: "Defined", Sort: "position"}}
	body := []g.Node{p.Site.SearchForm(l, "Filter components"), page.Notes(list.Notes)}
	if len(rows) == 0 {
		body = append(body, page.Empty("No components match."))
	} else {
		body = append(body, p.Site.SortedTable(l, "Components", columns, rows...), p.Site.Pager(l, list.Page, list.Pages, list.Total))
	}
	return page.Content{Title: "Components", API: "/api/v1/components", Body: body}
}
