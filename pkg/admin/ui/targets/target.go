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
	return Target{}, page.NotFound("This target no longer exists, or its labels have changed.")
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
		page.Fact("duration", g.Text(seconds(t.LastScrape, t.Seconds))),
		g.If(t.Profile == "", page.Fact("samples", g.Text(page.Count(float64(t.Samples))))),
		g.If(t.Profile != "", page.Fact("profile", g.Text(page.Cut(t.Profile, 100)))),
		page.Fact("interval", g.Text(t.Interval)),
	}
	body := []g.Node{}
	switch {
	case t.Error != "":
		body = append(body, page.Failure(t.Cause, t.Fix, t.Error))
	case t.Hint != "":
		body = append(body, page.Notice("info", g.Text(t.Hint)))
	}
	return append(body, page.Facts(facts...),
		page.Section("ask", "Response",
			h.Form(h.Method("post"), h.Action(p.Site.TargetHref(t.Component, t.ID)+"/response"),
				h.P(g.Text("Fetches the target's metrics as a scrape does, and shows up to 1 MiB of the response.")),
				h.Button(h.Type("submit"), h.Class("primary"), g.Text("Fetch now")))),
		page.Section("labels", "Labels", page.LabelTable("Labels after relabeling", t.Labels)),
		page.Section("discovered", "Labels before relabeling", page.LabelTable("Labels before relabeling", t.DiscoveredLabels.shown()),
			h.P(h.A(h.Href(p.Site.Href("/relabel?q="+url.QueryEscape(t.Name))), g.Text("How relabeling changed them")), g.Text(" · "),
				h.A(h.Href(p.Site.WhyHref(t.URL)), g.Text("Where each label comes from, and where data stops"))),
		))
}
