// Package tails is the page of the log tails: containers, files, journals and listeners.
package tails

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/admin/ui/service"
	"collector/pkg/inspect"
)

// Page is the log tails.
type Page struct {
	Site      *page.Site
	Redactor  *redact.Redactor
	Inventory Inventory
}

// Inventory is the tails.
type Inventory interface {
	LogTails() []inspect.LogTail
	Containers() []inspect.Container
}

// Routes are the paths of the page.
func (p *Page) Routes() []page.Route {
	return page.Both("GET /targets/logs", "GET /api/v1/targets/logs", p.model, p.view)
}

// tailReading is the state of a healthy tail.
const tailReading = "reading"

// All are all tails, as they may be shown.
func (p *Page) All() []inspect.LogTail {
	tails, v := p.Inventory.LogTails(), p.Redactor.Current()
	for i := range tails {
		tails[i] = shownTail(tails[i], v)
	}
	return tails
}

// Of is how many tails a component has.
func (p *Page) Of(component string) (n int) {
	for _, t := range p.Inventory.LogTails() {
		if t.Component == component {
			n++
		}
	}
	return n
}

// list is a page of the log tails.
type list struct {
	page.Paged[inspect.LogTail]
	Reading int      `json:"reading"` // of all tails, regardless of the filter
	Failing int      `json:"failing"` // those with an error
	Notes   []string `json:"notes,omitempty"`

	of service.Filter
}

// Shown is a tail as it may be shown.
func (p *Page) Shown(t *inspect.LogTail) inspect.LogTail { return shownTail(*t, p.Redactor.Current()) }

// states are those that people filter by; a tail that fails may be in others too.
func states() []string { return []string{tailReading, "failing", "waiting to connect", "ended"} }

// sorts are the columns by which the list can be sorted.
func sorts() []string {
	return []string{"container", "state", "lag", "lines", "bytes", "cursor", "error"}
}

func (p *Page) model(r *http.Request) (list, error) {
	all := p.Inventory.LogTails()
	m := list{of: service.Parse(r, p.Inventory.Containers)}
	components, known := []string{}, states()
	for i := range all {
		if !slices.Contains(components, all[i].Component) {
			components = append(components, all[i].Component)
		}
		if !slices.Contains(known, all[i].State) {
			known = append(known, all[i].State)
		}
		if all[i].State == tailReading {
			m.Reading++
		}
		if all[i].Error != "" {
			m.Failing++
		}
	}
	l, state, component := page.ParseListing(r, "state"), r.URL.Query().Get("state"), r.URL.Query().Get("component")
	m.Notes = append(page.Filters{"state": known, "component": components, "sort": sorts(), "project": nil, "service": nil}.Notes(r.URL.Query()), m.of.Notes()...)
	v := p.Redactor.Current()
	m.Paged = page.Select(l, all, func(t inspect.LogTail) bool {
		return (state == "" || t.State == state || state == "failing" && t.Error != "") && (component == "" || t.Component == component) && m.of.Has(t.ID) &&
			(l.Query == "" || l.Matches(t.Component, t.Kind, t.ID, t.Container, t.State, t.About, v.URL(t.Error), tailText(v, &t)))
	}, compareTails)
	for i := range m.Items {
		m.Items[i] = shownTail(m.Items[i], v)
	}
	return m, nil
}

// shownTail is the tail without secrets.
func shownTail(t inspect.LogTail, v *redact.Redaction) inspect.LogTail {
	t.Error, t.Cause, t.Fix, t.Problem = v.URL(t.Error), v.URL(t.Cause), v.URL(t.Fix), v.URL(t.Problem)
	t.About = v.URL(t.About)
	if t.Units != nil {
		units := map[string]uint64{}
		for name, n := range t.Units {
			units[v.Text(name)] += n
		}
		t.Units = units
	}
	streams := map[string]map[string]string{}
	for stream, labels := range t.Labels {
		streams[stream] = v.Map(labels)
	}
	t.Labels = streams
	return t
}

func tailText(v *redact.Redaction, t *inspect.LogTail) string {
	var b strings.Builder
	for _, labels := range t.Labels {
		for name, value := range labels {
			b.WriteString(name + "=" + v.Value(name, value) + "\x00")
		}
	}
	return b.String()
}

func compareTails(column string, a, b inspect.LogTail) int {
	first := 0
	switch column {
	case "state":
		first = cmp.Or(cmp.Compare(tailRank(&a), tailRank(&b)), strings.Compare(a.State, b.State))
	case "lag":
		first = cmp.Compare(a.LagSeconds, b.LagSeconds)
	case "lines":
		first = cmp.Compare(a.Lines, b.Lines)
	case "bytes":
		first = cmp.Compare(a.Bytes, b.Bytes)
	case "cursor":
		first = a.Cursor.Compare(b.Cursor)
	case "error":
		first = strings.Compare(a.Error, b.Error)
	}
	return cmp.Or(first, strings.Compare(a.Container, b.Container), strings.Compare(a.ID, b.ID), strings.Compare(a.Component, b.Component))
}

// tailRank orders tails, failing ones first.
func tailRank(t *inspect.LogTail) int {
	switch {
	case t.Error != "":
		return 0
	case t.State != tailReading:
		return 1
	}
	return 2
}

func (p *Page) view(r *http.Request, m list) page.Content {
	l := page.ParseListing(r, "state")
	var rows []g.Node
	for i := range m.Items {
		t := &m.Items[i]
		kind := stateKind(t.State)
		if t.Error != "" {
			kind = "bad"
		}
		rows = append(rows, page.Row(
			g.Group{g.Text(page.Cut(t.Container, 200)), g.If(t.ID != "", g.Group{h.Br(), h.Span(h.Class("dim id"), g.Text(t.ID[:min(12, len(t.ID))]))})},
			page.Badge(kind, t.State),
			detailsNode(t),
			tailLabels(t),
			h.Span(h.Class("n"), g.Text(page.Lag(t.LagSeconds))),
			h.Span(h.Class("n"), g.Text(page.Count(float64(t.Lines)))),
			h.Span(h.Class("n"), g.Text(page.Size(float64(t.Bytes)))),
			page.Ago(t.Cursor),
			errorNode(t),
		))
	}
	columns := []page.Column{
		{Title: "Source", Sort: "container"}, {Title: "State", Sort: "state"}, {Title: "Details"}, {Title: "Labels"}, {Title: "Lag", Numeric: true, Sort: "lag"},
		{Title: "Lines", Numeric: true, Sort: "lines"}, {Title: "Bytes", Numeric: true, Sort: "bytes"},
		{Title: "Newest line", Sort: "cursor"}, {Title: "Error", Sort: "error"},
	}
	body := []g.Node{
		p.Site.TargetTabs("/targets/logs"),
		h.P(page.Badge("good", page.Count(float64(m.Reading))+" reading"), g.Text(" "), page.Badge(page.BadIf(m.Failing), page.Count(float64(m.Failing))+" failing")),
		p.Site.SearchForm(l, "Filter tails", page.StateSelect(r, states()...), page.KeepField(r, "component"), m.of.Fields()),
		m.of.Node(p.Site, r), page.Notes(m.Notes),
	}
	if len(m.Items) == 0 {
		body = append(body, page.Empty("No log tails match."))
	} else {
		body = append(body, p.Site.SortedTable(l, "Log tails", columns, rows...), p.Site.Pager(l, m.Page, m.Pages, m.Total))
	}
	return page.Content{Title: "Log tails", API: "/api/v1/targets/logs", Body: body}
}

// tailLabels are the labels of the first stream that is kept: streams differ little.
func tailLabels(t *inspect.LogTail) g.Node {
	for _, stream := range slices.Sorted(maps.Keys(t.Labels)) {
		if len(t.Labels[stream]) > 0 {
			return page.FewLabels(t.Labels[stream])
		}
	}
	if t.Kind == inspect.TailListener || t.Kind == inspect.TailJournal { // their entries have labels of their own
		return h.Span(h.Class("dim"), g.Text("none of its own"))
	}
	if len(t.Labels) > 0 {
		return g.Group{page.Badge("warn", "no labels"), h.Div(h.Class("dim"), g.Text("Loki rejects lines without labels. Another component may still add some."))}
	}
	return h.Span(h.Class("dim"), g.Text("dropped by a rule"))
}

// stateKind is how good a state is.
func stateKind(state string) string {
	if state == tailReading {
		return "good"
	}
	return "info"
}
