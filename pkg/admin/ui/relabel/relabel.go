// Package relabel is the page that shows what rules make of targets, series and
// streams, and why.
package relabel

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/admin/ui/service"
	"collector/pkg/inspect"
)

// Page is what rules make of targets, series and streams: the list, and each of
// them.
type Page struct {
	Site      *page.Site
	Redactor  *redact.Redactor
	Inventory Inventory
}

// Inventory is what rules are applied to.
type Inventory interface {
	Relabelings() []inspect.Relabeling
	Containers() []inspect.Container
	// Unlisted are the containers that are not targets of any discovery: the reason
	// by name.
	Unlisted() map[string]string
}

// Routes are the paths of the pages.
func (p *Page) Routes() []page.Route {
	return append(page.Both("GET /relabel", "GET /api/v1/relabel", p.listModel, p.listView),
		page.Both("GET /relabel/{component}/{input}", "GET /api/v1/relabel/{component}/{input}", p.traceModel, p.traceView)...)
}

// Input is one input of a component with rules, and its outcome.
type Input struct {
	Component string `json:"component"`
	ID        string `json:"id"`
	Name      string `json:"name"` // of the container
	Address   string `json:"address"`
	Kept      bool   `json:"kept"`
	// DroppedBy is the number of the rule that drops it, from 1; 0 if none does.
	DroppedBy int `json:"droppedBy,omitempty"`
	// Hint names a label that was probably meant to be another, for lack of which a
	// rule drops it.
	Hint string `json:"hint,omitempty"`
	// Streams lists its kept streams, where there are streams.
	Streams []string `json:"streams,omitempty"`

	labels labels.Labels
}

// List is a page of inputs.
type List struct {
	page.Paged[Input]
	Components []Summary `json:"components"`
	// Unlisted are the matching containers that are not targets of any discovery:
	// the reason by name.
	Unlisted map[string]string `json:"unlisted"`
	Notes    []string          `json:"notes,omitempty"`

	of service.Filter
}

type Summary struct {
	Component string `json:"component"`
	Inputs    int    `json:"inputs"`
}

func (p *Page) listModel(r *http.Request) (List, error) {
	l, component, state := page.ParseListing(r, "name"), r.URL.Query().Get("component"), r.URL.Query().Get("state")
	m := List{Components: []Summary{}, Unlisted: map[string]string{}, of: service.Parse(r, p.Inventory.Containers)}
	components := []string{}
	var all []Input
	v, relabelings := p.Redactor.Current(), p.Inventory.Relabelings()
	for _, c := range relabelings {
		inputs := c.Inputs()
		m.Components, components = append(m.Components, Summary{c.Component, len(inputs)}), append(components, c.Component)
		if component != "" && component != c.Component {
			continue
		}
		for _, labels := range inputs {
			if !m.of.Has(labels.Get(redact.ContainerID)) {
				continue
			}
			in := Input{Component: c.Component, Name: v.NameOf(labels), Address: v.URL(labels.Get("__address__")), labels: labels}
			if l.Query != "" && !l.Matches(in.Component, in.Name, in.Address) && !l.Matches(v.Searchable(labels)) {
				continue
			}
			judge(&c, &in)
			if state == "" || in.Kept == (state == "kept") {
				all = append(all, in)
			}
		}
	}
	m.Paged = page.Select(l, all, func(Input) bool { return true }, compareInputs)
	for i := range m.Items {
		m.Items[i].ID = InputID(m.Items[i].labels)
	}
	p.hint(m.Items, relabelings)
	m.Unlisted = p.unlisted(l, &m.of)
	m.Notes = page.Filters{"state": {"kept", "dropped"}, "component": components, "sort": {"name", "address", "component", "outcome"}, "project": nil, "service": nil}.Notes(r.URL.Query())
	if len(m.Unlisted) == 0 {
		m.Notes = append(m.Notes, m.of.Notes()...)
	}
	return m, nil
}

// hint sets the hints of inputs.
func (p *Page) hint(inputs []Input, all []inspect.Relabeling) {
	facts := inspect.NewFacts(p.Inventory.Containers(), all)
	rules := map[string][]inspect.Rule{}
	for _, c := range all {
		rules[c.Component] = c.Rules
	}
	for i := range inputs {
		in := &inputs[i]
		if by := in.DroppedBy; by > 0 && by <= len(rules[in.Component]) {
			if typo, is := facts.Typo(rules[in.Component][by-1], in.labels); is {
				in.Hint = typo.String()
			}
		}
	}
}

// judge sets an input's outcome.
func judge(c *inspect.Relabeling, in *Input) {
	if len(c.Streams) == 0 {
		rule, kept := c.Dropper(in.labels, "")
		in.Kept, in.DroppedBy = kept, rule+1
		return
	}
	for _, stream := range c.Streams {
		rule, kept := c.Dropper(in.labels, stream)
		if kept {
			in.Streams, in.Kept = append(in.Streams, stream), true
		} else {
			in.DroppedBy = rule + 1
		}
	}
	if in.Kept {
		in.DroppedBy = 0
	}
}

// maxUnlisted limits how many unlisted containers are shown.
const maxUnlisted = 50

// unlisted are the matching containers that are not targets.
func (p *Page) unlisted(l page.Listing, of *service.Filter) map[string]string {
	out := map[string]string{}
	all := p.Inventory.Unlisted()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if l.Matches(name) && of.HasName(name) && len(out) < maxUnlisted {
			out[name] = all[name]
		}
	}
	return out
}

// InputID identifies an input within a component.
func InputID(l labels.Labels) string {
	hash := fnv.New64a()
	_, _ = hash.Write(l.Bytes(nil)) // never fails
	return fmt.Sprintf("%016x", hash.Sum64())
}

func compareInputs(column string, a, b Input) int {
	first := 0
	switch column {
	case "component":
		first = strings.Compare(a.Component, b.Component)
	case "outcome":
		first = cmp.Or(cmp.Compare(boolRank(a.Kept), boolRank(b.Kept)), cmp.Compare(a.DroppedBy, b.DroppedBy))
	case "address":
		first = strings.Compare(a.Address, b.Address)
	}
	return cmp.Or(first, strings.Compare(a.Name, b.Name), strings.Compare(a.Component, b.Component), labels.Compare(a.labels, b.labels))
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (p *Page) listView(r *http.Request, m List) page.Content {
	l := page.ParseListing(r, "name")
	var rows []g.Node
	for _, in := range m.Items {
		rows = append(rows, page.Row(
			h.A(h.Href(p.href(in.Component, in.ID)), g.Text(page.Cut(cmp.Or(in.Name, "(no name)"), 100))),
			g.Text(page.Cut(in.Address, 100)), p.Site.ComponentLink(in.Component),
			g.Group{outcome(in), g.If(in.Hint != "", h.Div(h.Class("dim"), g.Text(page.Cut(in.Hint, 200))))}))
	}
	columns := []page.Column{{Title: "Container", Sort: "name"}, {Title: "Address", Sort: "address"}, {Title: "Component", Sort: "component"}, {Title: "Outcome", Sort: "outcome"}}
	body := []g.Node{
		h.P(g.Text("Shows what relabeling rules do to targets, series and streams, and why a container is not a target. Select one to see each rule, step by step.")),
		p.Site.SearchForm(l, "Container", p.componentSelect(r, m.Components), page.StateSelect(r, "kept", "dropped"), m.of.Fields()),
		m.of.Node(p.Site, r), page.Notes(m.Notes),
	}
	for _, name := range slices.Sorted(maps.Keys(m.Unlisted)) {
		body = append(body, g.If(l.Query != "" || m.of.On(), page.Notice("info", g.Text("The container "+page.Cut(name, 100)+" is not a target of any component: "+page.Cut(m.Unlisted[name], 200)+"."))))
	}
	if len(m.Items) == 0 {
		body = append(body, page.Empty("Nothing matches. A container is listed while it is running and no discovery filter excludes it."))
	} else {
		body = append(body, p.Site.SortedTable(l, "Targets and how relabeling changes them", columns, rows...), p.Site.Pager(l, m.Page, m.Pages, m.Total))
	}
	return page.Content{Title: "Relabel", API: "/api/v1/relabel", Body: body, Still: true}
}

func (p *Page) componentSelect(r *http.Request, all []Summary) g.Node {
	now := r.URL.Query().Get("component")
	options := []g.Node{h.Option(h.Value(""), g.Text("all components"))}
	for _, c := range all {
		options = append(options, h.Option(h.Value(c.Component), g.If(c.Component == now, h.Selected()), g.Text(fmt.Sprintf("%s (%d)", c.Component, c.Inputs))))
	}
	return g.Group{h.Label(h.Class("sr"), h.For("component"), g.Text("Component")), h.Select(append([]g.Node{h.ID("component"), h.Name("component")}, options...)...)}
}

func outcome(in Input) g.Node {
	switch {
	case in.Kept && len(in.Streams) == 1:
		return page.Badge("good", "kept, "+in.Streams[0]+" only")
	case in.Kept:
		return page.Badge("good", "kept")
	case in.DroppedBy > 0:
		return page.Badge("warn", fmt.Sprintf("dropped by rule %d", in.DroppedBy))
	}
	return page.Badge("warn", "dropped: no labels left")
}

func (p *Page) href(component, id string) string { return p.Site.Href(pathOf(component, id)) }

// pathOf is the page of an input, without the prefix.
func pathOf(component, id string) string {
	return "/relabel/" + url.PathEscape(component) + "/" + url.PathEscape(id)
}
