package overview

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/explore"
)

// Service is what is collected from one service of a Compose project, or from a
// container outside Compose.
type Service struct {
	Project    string `json:"project"` // "" for a container outside Compose
	Service    string `json:"service"` // or the container's name
	Containers int    `json:"containers"`
	Targets    int    `json:"targets"`
	TargetsUp  int    `json:"targetsUp"`
	Tails      int    `json:"tails"`
	Reading    int    `json:"tailsReading"`
	// Traces and Profiles are known only while Explore is on, by service name: if
	// Ambiguous, they may belong to another project.
	Traces    bool `json:"traces"`
	Profiles  bool `json:"profiles"`
	Ambiguous bool `json:"ambiguous,omitempty"` // another project has a service of this name
}

// tailReading is the state of a healthy tail.
const tailReading = "reading"

// services groups the containers by project and service.
func (p *Page) services(ctx context.Context, s *situation) []Service {
	type key struct{ project, service string }
	found, of := map[key]*Service{}, map[string]*Service{}
	for _, c := range p.Inventory.Containers() {
		if c.Ended {
			continue
		}
		k := key{c.Project, cmp.Or(c.Service, c.Name)}
		if found[k] == nil {
			found[k] = &Service{Project: k.project, Service: k.service}
		}
		found[k].Containers++
		of[c.ID] = found[k]
	}
	for i := range s.targets {
		if info := of[s.targets[i].Discovered.Get(redact.ContainerID)]; info != nil {
			info.Targets++
			info.TargetsUp += count(s.targets[i].State == "up")
		}
	}
	for i := range s.tails {
		if info := of[s.tails[i].ID]; info != nil {
			info.Tails++
			info.Reading += count(s.tails[i].State == tailReading && s.tails[i].Error == "")
		}
	}
	named := map[string]int{}
	for k := range found {
		named[k.service]++
	}
	traces, profiles := p.seenServices(ctx)
	out := make([]Service, 0, len(found))
	for _, info := range found {
		info.Traces, info.Profiles, info.Ambiguous = traces[info.Service], profiles[info.Service], named[info.Service] > 1
		out = append(out, *info)
	}
	slices.SortFunc(out, func(a, b Service) int {
		return cmp.Or(cmp.Compare(count(a.Project == ""), count(b.Project == "")), strings.Compare(a.Project, b.Project), strings.Compare(a.Service, b.Service))
	})
	return out
}

// seenServices are the services with traces and profiles in the Explore window.
func (p *Page) seenServices(ctx context.Context) (traces, profiles map[string]bool) {
	traces, profiles = map[string]bool{}, map[string]bool{}
	if p.Window == nil {
		return traces, profiles
	}
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond) // else the page does without
	defer cancel()
	found, _ := p.Window.Traces(ctx, explore.TraceQuery{Limit: 500})
	for _, t := range found {
		traces[t.Service] = true
	}
	services, _ := p.Window.ProfileServices(ctx)
	for name := range maps.Keys(services) {
		profiles[name] = true
	}
	return traces, profiles
}

// maxServiceRows is how many services the Overview lists.
const maxServiceRows = 200

// serviceTable lists the services below their Compose projects.
func (p *Page) serviceTable(o Overview) g.Node {
	if len(o.Services) == 0 {
		return page.Empty("No containers found.")
	}
	columns := []page.Column{{Title: "Service"}, {Title: "Containers", Numeric: true}, {Title: "Metrics"}, {Title: "Logs"}}
	window := p.Window != nil // the only source for traces and profiles
	if window {
		columns = append(columns, page.Column{Title: "Traces"}, page.Column{Title: "Profiles"})
	}
	var groups []g.Node
	left := maxServiceRows
	for rest := o.Services; len(rest) > 0 && left > 0; {
		n := projectEnd(rest)
		shown := rest[:min(n, left)]
		groups = append(groups, page.RowGroup(len(columns), projectHeading(rest[:n]), g.Map(shown, func(s Service) g.Node { return p.serviceRow(s, window) })))
		rest, left = rest[n:], left-len(shown)
	}
	nodes := g.Group{page.GroupedTable("What is collected from each service, by Compose project", columns, groups...)}
	if more := len(o.Services) - maxServiceRows; more > 0 {
		nodes = append(nodes, h.P(g.Textf("%d more services: see ", more), h.A(h.Href(p.Site.Href("/targets")), g.Text("the targets")), g.Text(".")))
	}
	return nodes
}

// projectEnd is how many of the sorted services belong to the first one's project.
func projectEnd(services []Service) int {
	n := slices.IndexFunc(services, func(s Service) bool { return s.Project != services[0].Project })
	if n < 0 {
		return len(services)
	}
	return n
}

// projectHeading names a project and counts its services.
func projectHeading(services []Service) g.Node {
	containers := 0
	for i := range services {
		containers += services[i].Containers
	}
	name, counted := services[0].Project, page.Many(len(services), "service")+", "+page.Many(containers, "container")
	if name == "" {
		name, counted = "Outside Compose", page.Many(containers, "container")
	}
	return g.Group{h.Strong(g.Text(page.Cut(name, 100))), h.Span(h.Class("dim"), g.Text(" "+counted))}
}

func (p *Page) serviceRow(s Service, window bool) g.Node {
	cells := []g.Node{
		g.Text(page.Cut(s.Service, 100)), h.Span(h.Class("n"), g.Text(page.Count(float64(s.Containers)))),
		p.collected("/targets?q=", s.Service, s.TargetsUp, s.Targets, "up"), p.collected("/targets/logs?q=", s.Service, s.Reading, s.Tails, "tailed"),
	}
	if window {
		cells = append(cells, seen(s.Traces, s.Ambiguous), seen(s.Profiles, s.Ambiguous))
	}
	return page.Row(cells...)
}

// collected links to what is collected from a service, or to why nothing is.
func (p *Page) collected(path, service string, good, all int, word string) g.Node {
	if all == 0 {
		return h.A(h.Class("dim"), h.Href(p.Site.Href("/relabel?q="+url.QueryEscape(service))), g.Text("none – why?"))
	}
	kind := "good"
	if good < all {
		kind = "bad"
	}
	return h.A(h.Href(p.Site.Href(path+url.QueryEscape(service))), page.Badge(kind, page.Count(float64(good))+" of "+page.Count(float64(all))+" "+word))
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

// count is 1 for what is so.
func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
