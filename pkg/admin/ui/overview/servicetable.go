package overview

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
	"collector/pkg/admin/ui/service"
)

const (
	// maxServiceRows is how many services the Overview lists.
	maxServiceRows = 200
	// maxHealthyProjects is how many projects it lists whose services are all healthy.
	maxHealthyProjects = 200
	// collapseAbove is the number of services above which it collapses the healthy ones.
	collapseAbove = 40
)

// project is the services of a Compose project, or those outside of any.
type project struct {
	name     string
	services []Service // the failing ones first
	failing  int
}

// projectsOf groups sorted services. Projects with failing services come first, and so
// do these within a project.
func projectsOf(services []Service) []project {
	var out []project
	for rest := services; len(rest) > 0; {
		n := slices.IndexFunc(rest, func(s Service) bool { return s.Project != rest[0].Project })
		if n < 0 {
			n = len(rest)
		}
		p := project{name: rest[0].Project, services: slices.Clone(rest[:n])}
		for i := range p.services {
			p.failing += count(p.services[i].failing())
		}
		slices.SortStableFunc(p.services, func(a, b Service) int { return count(!a.failing()) - count(!b.failing()) })
		out, rest = append(out, p), rest[n:]
	}
	slices.SortStableFunc(out, func(a, b project) int { return count(a.failing == 0) - count(b.failing == 0) })
	return out
}

// serviceTable lists the services below their Compose projects.
func (p *Page) serviceTable(o Overview) g.Node {
	if len(o.Services) == 0 {
		return page.Empty("No containers found.")
	}
	projects := projectsOf(o.Services)
	t := serviceTable{page: p, window: p.Window != nil, left: maxServiceRows}
	t.columns = []page.Column{{Title: "Service"}, {Title: "Containers", Numeric: true}, {Title: "Metrics"}, {Title: "Logs"}}
	if t.window { // the only source for traces and profiles
		t.columns = append(t.columns, page.Column{Title: "Traces"}, page.Column{Title: "Profiles"})
	}
	if len(o.Services) <= collapseAbove {
		return t.table(projects, func(p project) []Service { return p.services })
	}
	nodes := g.Group{t.table(projects, func(p project) []Service { return p.services[:p.failing] })}
	failing := 0
	for _, project := range projects {
		failing += project.failing
	}
	if more := failing - (maxServiceRows - t.left); more > 0 {
		nodes = append(nodes, h.P(g.Text(page.Many(more, "more failing service")+": see "), h.A(h.Href(p.Site.Href("/targets?state=down")), g.Text("the targets that are down")),
			g.Text(" and "), h.A(h.Href(p.Site.Href("/targets/logs?state=failing")), g.Text("the log tails that fail")), g.Text(".")))
	}
	return append(nodes, t.collapsed(projects))
}

// serviceTable makes the table, of at most left more rows.
type serviceTable struct {
	page    *Page
	columns []page.Column
	window  bool
	left    int
}

func (t *serviceTable) rows(services []Service) []g.Node {
	n := min(len(services), t.left)
	t.left -= n
	return g.Map(services[:n], func(s Service) g.Node { return t.page.serviceRow(s, t.window) })
}

// table lists the services that of chooses from each project.
func (t *serviceTable) table(projects []project, of func(project) []Service) g.Node {
	var groups []g.Node
	for _, p := range projects {
		if chosen := of(p); len(chosen) > 0 && t.left > 0 {
			groups = append(groups, page.RowGroup(len(t.columns), projectHeading(p.name, p.services), t.rows(chosen)...))
		}
	}
	if len(groups) == 0 {
		return nil
	}
	return page.GroupedTable("What is collected from each service, by Compose project", t.columns, groups...)
}

// collapsed lists the projects, each with its healthy services, which a click shows.
func (t *serviceTable) collapsed(projects []project) g.Node {
	var nodes g.Group
	shown := 0
	byName := func(a, b project) int {
		return cmp.Or(count(a.name == "")-count(b.name == ""), strings.Compare(a.name, b.name))
	}
	for _, p := range slices.SortedFunc(slices.Values(projects), byName) {
		healthy := p.services[p.failing:]
		if len(healthy) == 0 {
			continue
		}
		if shown++; shown > maxHealthyProjects {
			continue
		}
		heading, id := projectHeading(p.name, healthy), h.ID("project-"+url.PathEscape(p.name)) // by which a refresh knows it again
		if len(healthy) > t.left {
			links := service.Query(p.name, "")
			nodes = append(nodes, h.P(id, h.Class("project"), heading, g.Text(" "), h.A(h.Href(t.page.Site.Href("/targets?"+links)), g.Text("targets")), g.Text(" "),
				h.A(h.Href(t.page.Site.Href("/targets/logs?"+links)), g.Text("log tails"))))
			continue
		}
		name := p.name
		if name == "" {
			name = "outside Compose"
		}
		nodes = append(nodes, h.Details(id, h.Class("project"), h.Summary(heading), page.Table("Healthy services of "+page.Cut(name, 100), t.columns, t.rows(healthy)...)))
	}
	if more := shown - maxHealthyProjects; more > 0 {
		nodes = append(nodes, h.P(g.Text(page.Many(more, "more healthy project")+": see the JSON.")))
	}
	return g.Group{h.H3(g.Text("Healthy")), nodes}
}

// projectHeading names a project and counts the services.
func projectHeading(name string, services []Service) g.Node {
	containers := 0
	for i := range services {
		containers += services[i].Containers
	}
	counted := page.Many(len(services), "service") + ", " + page.Many(containers, "container")
	if name == "" {
		name, counted = "Outside Compose", page.Many(containers, "container")
	}
	return g.Group{h.Strong(g.Text(page.Cut(name, 100))), h.Span(h.Class("dim"), g.Text(" "+counted))}
}

func (p *Page) serviceRow(s Service, window bool) g.Node {
	cells := []g.Node{
		p.serviceName(&s), containersNode(&s),
		p.collected("/targets", &s, s.TargetsUp, s.Targets, "up"), p.collected("/targets/logs", &s, s.Reading, s.Tails, "tailed"),
	}
	if window {
		cells = append(cells, seen(s.Traces, s.Ambiguous), seen(s.Profiles, s.Ambiguous))
	}
	return page.Row(cells...)
}

// serviceName leads to all that is known of a service.
func (p *Page) serviceName(s *Service) g.Node {
	return h.A(h.Href(p.Site.WhyHref(service.Name(s.Project, s.Service))), g.Text(page.Cut(s.Service, 100)))
}

// containersNode is how many containers a service has, and what is wrong with them.
func containersNode(s *Service) g.Node {
	switch {
	case s.loop != nil:
		text := loopText(s.loop)
		if s.Looping > 1 {
			text = page.Count(float64(s.Looping)) + " " + text
		}
		return g.Group{page.Num(page.Count(float64(s.Containers))), g.Text(" "), page.Badge("bad", text)}
	case s.Ended != nil:
		kind := "info"
		if s.failing() {
			kind = "warn"
		}
		return g.Group{page.Num("0"), g.Text(" "), page.Badge(kind, "ended: "+goneText(s.Ended, time.Now()))}
	}
	return page.Num(page.Count(float64(s.Containers)))
}

// collected links to what is collected from a service, or to why nothing is.
func (p *Page) collected(path string, s *Service, good, all int, word string) g.Node {
	query := "?" + service.Query(s.Project, s.Service)
	switch {
	case all == 0 && s.Containers == 0:
		return h.Span(h.Class("dim"), g.Text("–"))
	case all == 0:
		return h.A(h.Class("dim"), h.Href(p.Site.Href("/relabel"+query)), g.Text("none – why?"))
	}
	kind := "good"
	if good < all {
		kind = "bad"
	}
	return h.A(h.Href(p.Site.Href(path+query)), page.Badge(kind, page.Count(float64(good))+" of "+page.Count(float64(all))+" "+word))
}

// seen reports whether anything came from a service of this name.
func seen(yes, ambiguous bool) g.Node {
	switch {
	case yes && ambiguous:
		return page.Badge("info", "seen, in this or another project")
	case yes:
		return page.Badge("good", "seen")
	}
	return h.Span(h.Class("dim"), g.Text("–"))
}
