package targets

import (
	"net/http"
	"net/url"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
)

func (p *Page) targetModel(r *http.Request) (Target, error) {
	component, id := r.PathValue("component"), r.PathValue("id")
	for _, t := range p.Inventory.ScrapeTargets() {
		if t.Component == component && t.ID == id {
			return infoOf(&t, p.Redactor.Current()), nil
		}
	}
	return Target{}, page.NotFound("There is no such target any more: it has disappeared, or its labels have changed.")
}

func (p *Page) targetView(_ *http.Request, t Target) page.Content {
	return page.Content{Title: "Target " + page.Cut(t.Name, 100), API: "/api/v1/targets/" + url.PathEscape(t.Component) + "/" + t.ID, Body: p.targetBody(t)}
}

func (p *Page) targetBody(t Target) []g.Node {
	facts := []g.Node{
		page.Fact("state", page.Badge(stateKind(t.State), t.State)),
		page.Fact("address", h.Code(g.Text(page.Cut(t.URL, 1000)))),
		page.Fact("scraped by", p.Site.ComponentLink(t.Component)),
		page.Fact("job", g.Text(page.Cut(t.Job, 200))),
		page.Fact("last scrape", page.Ago(t.LastScrape)),
		page.Fact("took", g.Text(seconds(t.LastScrape, t.Seconds))),
		page.Fact("samples", g.Text(page.Count(float64(t.Samples)))),
		page.Fact("every", g.Text(t.Interval)),
	}
	body := []g.Node{}
	if t.Error != "" {
		body = append(body, page.Notice("bad", g.Text(page.Cut(t.Error, page.MaxString))))
	}
	return append(body, page.Facts(facts...),
		page.Section("ask", "What it answers",
			h.Form(h.Method("post"), h.Action(p.Site.TargetHref(t.Component, t.ID)+"/response"),
				h.P(g.Text("The collector asks the target now, as it does for a scrape, and shows at most 1 MiB of the answer.")),
				h.Button(h.Type("submit"), h.Class("primary"), g.Text("Ask the target")))),
		page.Section("labels", "Labels of its series", page.LabelTable("Labels after relabelling", t.Labels)),
		page.Section("discovered", "Labels as the component is given them", page.LabelTable("Labels before the scrape", t.DiscoveredLabels.shown()),
			h.P(h.A(h.Href(p.Site.Href("/relabel?q="+url.QueryEscape(t.Name))), g.Text("How rules made them"))),
		))
}
