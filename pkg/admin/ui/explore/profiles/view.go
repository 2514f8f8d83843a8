package profiles

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/explore/window"
	"collector/pkg/admin/ui/page"
	"collector/pkg/explore"
)

// maxServices is how many services a form offers.
const maxServices = 300

func (p *Page) view(r *http.Request, v result) page.Content {
	c := window.Content(p.Site, "profiles", "Profiles", v.Enabled)
	if !v.Enabled {
		return c
	}
	c.Still = true
	values := r.URL.Query()
	if len(v.Services) == 0 {
		c.Body = append(c.Body, page.Empty("No profiles in the window."))
		return c
	}
	c.Body = append(c.Body, p.profileForm(v, values))
	links, _ := window.LabelFilter(p.Site, "/explore/profiles", values)
	c.Body = append(c.Body, links, page.Notes(v.Notes))
	if since, until := window.TimeSpan(values); values.Get("range") == "" && !since.IsZero() {
		c.Body = append(c.Body, h.P(g.Text("From "), page.Clock(since), g.Text(" to "), page.Clock(until), g.Text(". "),
			h.A(h.Href(p.Site.Href("/explore/profiles?service="+url.QueryEscape(v.Service))), g.Text("All times"))))
	}
	if v.Merged == 0 {
		c.Body = append(c.Body, page.Empty("No profiles of this type in this time range, or none in a supported format."))
	} else {
		c.Scripts = []string{"flame.js"}
		tree := url.Values{"service": {v.Service}, "type": {v.Type}, "range": values["range"], "since": values["since"], "until": values["until"], "label": values["label"]}
		c.Body = append(c.Body, p.flameNode(v, p.Site.Href("/api/v1/explore/flame?"+tree.Encode())), page.Section("functions", "Functions", functionTable(v)))
	}
	c.Body = append(c.Body, page.Section("list", "Profiles", profileTable(v.Profiles)))
	return c
}

func (p *Page) profileForm(v result, values url.Values) g.Node {
	names := slices.Sorted(maps.Keys(v.Services))
	var services, types [][2]string
	for _, name := range names[:min(len(names), maxServices)] {
		services = append(services, [2]string{name, page.Cut(name, 100)})
	}
	if v.Services[v.Service] == nil {
		services = append(services, [2]string{v.Service, v.Service})
	}
	for _, name := range v.Services[v.Service] {
		types = append(types, [2]string{name, ""})
	}
	if !slices.Contains(v.Services[v.Service], v.Type) {
		types = append(types, [2]string{v.Type, v.Type})
	}
	_, hidden := window.LabelFilter(p.Site, "/explore/profiles", values)
	return window.Form(p.Site, "/explore/profiles", window.Choice("service", "Service", v.Service, services...), window.Choice("type", "Type", v.Type, types...),
		window.Choice("range", "Time", values.Get("range"), window.Ranges()...), window.Field("label", "Label", "", "name=value"), hidden)
}

// flameNode is where the script draws the flame graph.
func (p *Page) flameNode(v result, tree string) g.Node {
	return page.Section("flame", "Flame graph",
		h.P(g.Textf("%s of %s in %s.", amount(v.Total, v.Unit), v.Type, page.Many(v.Merged, "profile")),
			g.If(v.Cut, g.Text(" There was too much to merge: older and rarer samples are not included."))),
		h.NoScript(page.Notice("info", g.Text("The flame graph needs JavaScript, which is disabled in this browser. The table below lists the functions."))),
		h.Div(h.Class("bar"), g.Attr("hidden"), h.ID("flame-tools"),
			h.Label(h.For("flame-find"), g.Text("Find a function")), h.Input(h.ID("flame-find"), h.Type("search")),
			h.Button(h.ID("flame-reset"), h.Type("button"), g.Text("Show all")),
			h.Span(h.ID("flame-found"), h.Class("dim"), h.Role("status")),
		),
		h.Div(h.ID("flame-graph"), h.Class("flame"), h.Role("tree"), g.Attr("aria-label", "Flame graph: arrow keys move, Enter zooms in, Escape resets"), h.Data("keep", ""), h.Data("tree", tree), h.Data("unit", v.Unit)),
		h.P(h.ID("flame-detail"), h.Class("flame-detail"), g.Attr("aria-live", "polite")),
	)
}

func functionTable(v result) g.Node {
	left := window.NewBudget()
	var rows []g.Node
	for _, f := range v.Functions {
		share := float64(f.Self) / float64(max(v.Total, 1))
		rows = append(rows, page.Row(h.Code(g.Text(left.Cut(f.Name, 300))), page.Num(amount(f.Self, v.Unit)), page.Num(window.Percent(share)+" %"), page.Num(amount(f.Total, v.Unit)),
			page.Num(window.Percent(float64(f.Total)/float64(max(v.Total, 1)))+" %")))
	}
	return page.Table("Functions, highest self value first", []page.Column{{Title: "Function"}, {Title: "Self", Numeric: true}, {Title: "Share", Numeric: true}, {Title: "Total", Numeric: true}, {Title: "Share", Numeric: true}}, rows...)
}

func profileTable(profiles []explore.Profile) g.Node {
	left := window.NewBudget()
	var rows []g.Node
	for _, kept := range profiles {
		var types []g.Node
		for i, t := range kept.Types {
			if i == window.MaxPairs || !left.Left() {
				break
			}
			types = append(types, h.Span(h.Class("label"), g.Text(left.Cut(t.Name, 60)+" "+amount(t.Total, t.Unit))), g.Text(" "))
		}
		if len(types) == 0 {
			types = []g.Node{h.Span(h.Class("dim"), g.Text("cannot be drawn"))}
		}
		shown := map[string]string{}
		for _, name := range slices.Sorted(maps.Keys(kept.Labels)) {
			if len(shown) < window.MaxPairs && left.Left() {
				shown[name] = left.Cut(kept.Labels[name], 100)
			}
		}
		rows = append(rows, page.Row(page.Clock(kept.Time), g.Text(page.Cut(kept.Format, 40)), page.Num(page.Size(float64(kept.Size))), g.Group(types), page.LabelList(shown)))
	}
	return page.Table("Profiles, newest first", []page.Column{{Title: "Time"}, {Title: "Format"}, {Title: "Size", Numeric: true}, {Title: "Types"}, {Title: "Labels"}}, rows...)
}

// amount is a value of a profile in its unit.
func amount(v int64, unit string) string {
	switch unit {
	case "nanoseconds":
		return page.Duration(time.Duration(v))
	case "microseconds":
		return page.Duration(time.Duration(v) * time.Microsecond)
	case "bytes":
		return page.Size(float64(v))
	}
	return page.Count(float64(v))
}
