// Package targets is the page of the scrape targets.
package targets

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/admin/ui/service"
	"collector/pkg/cause"
	"collector/pkg/inspect"
)

// Page is the scrape targets: the list, and each of them.
type Page struct {
	Site      *page.Site
	Redactor  *redact.Redactor
	Inventory Inventory

	asking atomic.Int64 // fetches in progress
	asked  askRate
}

// Inventory is the targets.
type Inventory interface {
	ScrapeTargets() []inspect.ScrapeTarget
	// Fetch fetches a target's page. found is false if it does not exist.
	Fetch(ctx context.Context, component, id string) (answer inspect.Response, found bool, err error)
	Containers() []inspect.Container
}

// Routes are the paths of the pages.
func (p *Page) Routes() []page.Route {
	return slices.Concat(
		page.Both("GET /targets", "GET /api/v1/targets", p.listModel, p.listView),
		page.Both("GET /targets/{component}/{id}", "GET /api/v1/targets/{component}/{id}", p.targetModel, p.targetView),
		page.Both("POST /targets/{component}/{id}/response", "POST /api/v1/targets/{component}/{id}/response", p.ask, p.answerView))
}

// All are all targets, as they may be shown.
func (p *Page) All() []Target {
	targets, v := []Target{}, p.Redactor.Current()
	for _, t := range p.Inventory.ScrapeTargets() {
		targets = append(targets, infoOf(&t, v))
	}
	return targets
}

// Target is one scrape target, without secrets.
type Target struct {
	Component        string            `json:"component"`
	ID               string            `json:"id"`
	Name             string            `json:"name"` // of its container, or else its address
	Job              string            `json:"job"`
	URL              string            `json:"url"`
	Profile          string            `json:"profile,omitempty"` // the kind of profile that is scraped; empty: it is metrics
	State            string            `json:"state"`
	Labels           map[string]string `json:"labels"`
	DiscoveredLabels labelSet          `json:"discoveredLabels"`
	LastScrape       time.Time         `json:"lastScrape"`
	Seconds          float64           `json:"lastScrapeSeconds"`
	Interval         string            `json:"scrapeInterval"`
	Samples          int               `json:"samples"`
	Error            string            `json:"error,omitempty"`
	// Cause is what the error means, in words, Fix what to do about it, and CauseKind
	// what sort of failure it is.
	Cause     string     `json:"cause,omitempty"`
	Fix       string     `json:"fix,omitempty"`
	CauseKind cause.Kind `json:"causeKind,omitempty"`
	// Hint says what is odd about how its address was determined.
	Hint string `json:"hint,omitempty"`
}

// labelSet is labels that are redacted only when written as JSON, as most pages do
// not show them.
type labelSet struct {
	labels    labels.Labels
	redaction *redact.Redaction
}

func (l labelSet) shown() map[string]string { return l.redaction.Labels(l.labels) }

// MarshalJSON implements json.Marshaler.
func (l labelSet) MarshalJSON() ([]byte, error) { return json.Marshal(l.shown()) }

// UnmarshalJSON implements json.Unmarshaler.
func (l *labelSet) UnmarshalJSON(text []byte) error { return l.labels.UnmarshalJSON(text) }

// List is a page of the targets.
type List struct {
	page.Paged[Target]
	States map[string]int `json:"states"` // of all targets, regardless of the filter
	Notes  []string       `json:"notes,omitempty"`

	of service.Filter
}

// Shown is a target as it may be shown.
func (p *Page) Shown(t *inspect.ScrapeTarget) Target { return infoOf(t, p.Redactor.Current()) }

// sorts are the columns by which the list can be sorted.
func sorts() []string {
	return []string{"url", "state", "job", "component", "last", "duration", "samples", "error"}
}

func infoOf(t *inspect.ScrapeTarget, v *redact.Redaction) Target {
	own := map[string]bool{}
	redact.SecretsIn(t.Discovered, own)
	v = v.With(own)
	return Target{
		Component: t.Component, ID: t.ID, Name: v.NameOf(t.Discovered), Job: v.Text(t.Job), URL: v.URL(t.URL), Profile: t.Profile, State: t.State,
		Labels: v.Labels(t.Labels), DiscoveredLabels: labelSet{t.Discovered, v},
		LastScrape: t.LastScrape, Seconds: t.Took.Seconds(), Interval: t.Interval, Samples: t.Samples, Error: v.URL(t.Error),
		Cause: v.URL(t.Cause.Text), Fix: v.URL(t.Cause.Fix), CauseKind: t.Cause.Kind, Hint: v.Text(t.Hint),
	}
}

func (p *Page) listModel(r *http.Request) (List, error) {
	all, v := p.Inventory.ScrapeTargets(), p.Redactor.Current()
	m := List{States: map[string]int{"up": 0, "down": 0, "unknown": 0}, of: service.Parse(r, p.Inventory.Containers)}
	components := []string{}
	for i := range all {
		m.States[all[i].State]++
		if !slices.Contains(components, all[i].Component) {
			components = append(components, all[i].Component)
		}
	}
	m.Notes = append(page.Filters{"state": {"up", "down", "unknown"}, "component": components, "sort": sorts(), "project": nil, "service": nil, "cause": nil}.Notes(r.URL.Query()), m.of.Notes()...)
	l, state, component := page.ParseListing(r, "state"), r.URL.Query().Get("state"), r.URL.Query().Get("component")
	kind := r.URL.Query().Get("cause")
	found := page.Select(l, all, func(t inspect.ScrapeTarget) bool {
		return (state == "" || t.State == state) && (component == "" || t.Component == component) && (kind == "" || string(t.Cause.Kind) == kind) && m.of.Has(t.Discovered.Get(redact.ContainerID)) &&
			(l.Query == "" || l.Matches(t.Component, v.Text(t.Job), v.URL(t.URL), t.State, v.NameOf(t.Discovered), v.Searchable(t.Labels), v.URL(t.Error), v.URL(t.Cause.Text)))
	}, compareTargets)
	m.Paged = page.Paged[Target]{Items: []Target{}, Total: found.Total, Page: found.Page, Pages: found.Pages}
	for i := range found.Items {
		m.Items = append(m.Items, infoOf(&found.Items[i], v))
	}
	return m, nil
}

func compareTargets(column string, a, b inspect.ScrapeTarget) int {
	first := 0
	switch column {
	case "state":
		first = stateRank(a.State) - stateRank(b.State)
	case "component":
		first = strings.Compare(a.Component, b.Component)
	case "job":
		first = strings.Compare(a.Job, b.Job)
	case "last":
		first = a.LastScrape.Compare(b.LastScrape)
	case "duration":
		first = cmp.Compare(a.Took, b.Took)
	case "samples":
		first = cmp.Compare(a.Samples, b.Samples)
	case "error":
		first = cmp.Or(strings.Compare(string(a.Cause.Kind), string(b.Cause.Kind)), strings.Compare(a.Error, b.Error))
	}
	return cmp.Or(first, strings.Compare(a.URL, b.URL), strings.Compare(a.ID, b.ID))
}

// stateRank orders states, worst first.
func stateRank(state string) int { return slices.Index([]string{"down", "unknown", "up"}, state) }

func stateKind(state string) string {
	switch state {
	case "up", "reading":
		return "good"
	case "down":
		return "bad"
	}
	return "info"
}

func (p *Page) listView(r *http.Request, m List) page.Content {
	l := page.ParseListing(r, "state")
	var rows []g.Node
	for _, t := range m.Items {
		rows = append(rows, page.Row(
			g.Group{h.A(h.Href(p.Site.TargetHref(t.Component, t.ID)), g.Text(page.Cut(t.Name, 100))), h.Br(), h.Span(h.Class("dim"), g.Text(page.Cut(t.URL, 150)))},
			page.Badge(stateKind(t.State), t.State),
			g.Text(page.Cut(t.Job, 80)),
			page.FewLabels(t.Labels),
			page.Ago(t.LastScrape),
			h.Span(h.Class("n"), g.Text(seconds(t.LastScrape, t.Seconds))),
			h.Span(h.Class("n"), g.Text(page.Count(float64(t.Samples)))),
			page.ErrorCell(cmp.Or(t.Cause, t.Error)),
		))
	}
	columns := []page.Column{
		{Title: "Target", Sort: "url"}, {Title: "State", Sort: "state"}, {Title: "Job", Sort: "job"}, {Title: "Labels"},
		{Title: "Last scrape", Sort: "last"}, {Title: "Duration", Numeric: true, Sort: "duration"},
		{Title: "Samples", Numeric: true, Sort: "samples"}, {Title: "Error", Sort: "error"},
	}
	body := []g.Node{
		p.Site.TargetTabs("/targets"),
		h.P(page.Badge("good", strconv.Itoa(m.States["up"])+" up"), g.Text(" "), page.Badge(page.BadIf(m.States["down"]), strconv.Itoa(m.States["down"])+" down"), g.Text(" "),
			page.Badge("info", strconv.Itoa(m.States["unknown"])+" not scraped yet")),
		p.Site.SearchForm(l, "Filter targets", page.StateSelect(r, "up", "down", "unknown"), page.KeepField(r, "component"), page.KeepField(r, "cause"), m.of.Fields()),
		m.of.Node(p.Site, r), page.Notes(m.Notes),
	}
	if len(m.Items) == 0 {
		body = append(body, page.Empty("No targets match."), h.P(g.Text("To see why a container is not a target, open "), h.A(h.Href(p.Site.Href("/relabel")), g.Text("Relabel")), g.Text(".")))
	} else {
		body = append(body, p.Site.SortedTable(l, "Scrape targets", columns, rows...), p.Site.Pager(l, m.Page, m.Pages, m.Total))
	}
	return page.Content{Title: "Targets", API: "/api/v1/targets", Body: body}
}

func seconds(at time.Time, s float64) string {
	if at.IsZero() {
		return ""
	}
	return page.Duration(time.Duration(s * float64(time.Second)))
}
