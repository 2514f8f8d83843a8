package overview

import (
	"cmp"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/flow"
	"collector/pkg/admin/ui/page"
	"collector/pkg/graph"
	"collector/pkg/mask"
)

// maxProblems is how many problems a page lists.
const maxProblems = 50

func (p *Page) view(_ *http.Request, o Overview) page.Content {
	var body []g.Node
	for i, found := range o.Problems {
		if i == maxProblems {
			body = append(body, page.Note("bad", h.A(h.Href(p.Site.Href("/components?sort=health")), g.Textf("%d more problems", len(o.Problems)-i))))
			break
		}
		if found.everywhere {
			continue
		}
		body = append(body, p.problemNode(found))
	}
	if len(o.Problems) == 0 {
		body = append(body, page.Note("good", g.Text("No problems.")))
	}
	body = append(body, h.Div(h.Class("cards signals"), g.Map(o.Signals, p.signalCard)),
		page.Section("destinations", "Destinations", p.destinationTable(o.Destinations)),
		page.Section("containers", "Containers", p.serviceTable(o)),
		page.Section("state", "Components", page.Facts(p.stateFacts(o)...)))
	return page.Content{Title: "Overview", API: "/api/v1/overview", Body: body}
}

func (p *Page) problemNode(found problem) g.Node {
	nodes := []g.Node{g.Text(page.Cut(found.Message, page.MaxString) + " "), h.Strong(g.Text(found.Fix + " "))}
	if found.Link != "" {
		nodes = append(nodes, h.A(h.Href(p.Site.Href(found.Link)), g.Text("Details"), g.If(found.Component != "", h.Span(h.Class("sr"), g.Text(" of "+found.Component)))))
	}
	if !found.Since.IsZero() {
		nodes = append(nodes, g.Text(" ("), page.Ago(found.Since), g.Text(")"))
	}
	return page.Note(found.Kind, nodes...)
}

func (p *Page) stateFacts(o Overview) []g.Node {
	var facts []g.Node
	for _, state := range []graph.HealthState{graph.Healthy, graph.Degraded, graph.Unhealthy, graph.Unknown, graph.Exited} {
		if n := o.Components[state]; n > 0 || state == graph.Healthy {
			facts = append(facts, page.Fact(string(state), page.Badge(page.HealthKind(state), page.Count(float64(n)))))
		}
	}
	return append(facts, page.Fact("configuration loaded", page.Ago(o.LoadedAt)))
}

// signalCard shows one signal from its sources to its destinations.
func (p *Page) signalCard(f signalFlow) g.Node {
	unit := flow.UnitOf(f.Signal)
	title := h.H2(h.Class("signal "+f.Signal), g.Text(strings.ToUpper(f.Signal[:1])+f.Signal[1:]))
	why := h.P(h.A(h.Class("dim"), h.Href(p.Site.WhyHref(f.Signal)), g.Text("why?"), h.Span(h.Class("sr"), g.Text(" "+f.Signal))))
	if f.Destinations == 0 && f.SourcesPerSecond == 0 && f.Received == 0 {
		return h.Section(h.Class("card"), title, page.Empty("The configuration has no destination for "+f.Signal+"."))
	}
	if f.Received == 0 && f.SourcesPerSecond == 0 {
		return h.Section(h.Class("card "+f.Signal), title, page.Empty("Nothing received yet."), why)
	}
	return h.Section(h.Class("card "+f.Signal), title, page.Facts(
		page.Fact("from sources", g.Text(flow.PerSecond(f.SourcesPerSecond, f.Recent.In, " "+unit+"/s"))),
		page.Fact("in", g.Text(flow.PerSecond(f.InPerSecond, f.Recent.In, "/s")+", "+page.Count(float64(f.Received))+" total "), page.Spark(f.Signal+" in", f.Recent.In)),
		page.Fact("out", g.Text(flow.PerSecond(f.OutPerSecond, f.Recent.Out, "/s")+", "+page.Count(float64(f.Delivered))+" total "), page.Spark(f.Signal+" out", f.Recent.Out)),
		page.Fact("waiting", g.Text(page.Count(float64(f.Queued))+" ("+page.Size(float64(f.QueuedBytes))+") "), page.Spark(f.Signal+" waiting", f.Recent.Waiting)),
		page.Fact("dropped", f.dropped()...),
		page.Fact("refused", f.refused()),
		page.Fact("lag", g.Text(page.Lag(f.LagSeconds))),
	), why)
}

// dropped shows how much was dropped and why. What rules drop is not a loss.
func (f *signalFlow) dropped() []g.Node {
	all, lost := uint64(0), uint64(0)
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(f.Dropped)) {
		n := f.Dropped[reason]
		if n == 0 {
			continue
		}
		all += n
		if !intended(reason) {
			lost += n
		}
		reasons = append(reasons, page.Count(float64(n))+" "+reason)
	}
	if all == 0 {
		return []g.Node{g.Text("none")}
	}
	kind, wanted := "bad", ""
	if lost == 0 {
		kind, wanted = "info", ", as configured"
	}
	return []g.Node{page.Badge(kind, page.Count(float64(all))), g.Text(" (" + page.Cut(strings.Join(reasons, ", "), 300) + wanted + ") "), page.Spark(f.Signal+" dropped", f.Recent.Dropped)}
}

// maxDestinations is how many destinations the Overview lists.
const maxDestinations = 100

func (p *Page) destinationTable(all []flow.Destination) g.Node {
	if len(all) == 0 {
		return page.Empty("No destinations are in use.")
	}
	var rows []g.Node
	for i := range all {
		if i == maxDestinations {
			rows = append(rows, page.Row(g.Textf("%d more in the JSON", len(all)-i), nil, nil, nil, nil, nil, nil, nil, nil))
			break
		}
		rows = append(rows, p.destinationRow(&all[i]))
	}
	return page.Table("Destinations", []page.Column{
		{Title: "Destination"}, {Title: "Signal"}, {Title: "State"}, {Title: "Out"}, {Title: "Waiting", Numeric: true}, {Title: "Queue"}, {Title: "Oldest waiting"},
		{Title: "Last success"}, {Title: "Last error"},
	}, rows...)
}

func (p *Page) destinationRow(d *flow.Destination) g.Node {
	state := page.Badge("good", "up")
	switch {
	case !d.Stores && d.Received == 0:
		state = page.Badge("info", "nothing received yet")
	case !d.Stores:
		state = page.Badge("info", "shown here only")
	case d.Off:
		state = page.Badge("bad", "no endpoint")
	case d.Rejecting:
		state = page.Badge("bad", "rejects all data")
	case !d.Healthy:
		state = page.Badge("bad", "down")
	case d.FullQueue != "":
		state = page.Badge("bad", "queue full")
	case !d.UnansweredSince.IsZero():
		state = page.Badge("warn", "no answer for "+page.Count(math.Trunc(time.Since(d.UnansweredSince).Seconds()))+" s")
	case d.WaitingTenants > 0:
		state = page.Badge("warn", page.Count(float64(d.WaitingTenants))+" tenants throttled")
	case d.LastSuccess.IsZero() && d.Delivered == 0:
		state = page.Badge("info", "nothing sent yet")
	}
	oldest := h.Span(h.Class("dim"), g.Text("none"))
	if !d.OldestQueued.IsZero() {
		oldest = page.Ago(d.OldestQueued)
	}
	success, failure := page.Ago(d.LastSuccess), g.Node(h.Span(h.Class("dim"), g.Text("none")))
	if !d.Stores {
		success = h.Span(h.Class("dim"), g.Text("–"))
	}
	if d.LastError != "" {
		why, _ := d.Why()
		failure = g.Group{page.Ago(d.LastFailure), g.Text(": " + page.Cut(why, 300))}
	}
	return page.Row(
		g.Group{p.Site.ComponentLink(d.Component), g.Text(" "), h.A(h.Class("dim"), h.Href(p.Site.WhyHref(cmp.Or(d.URL, d.Component))), g.Text("why?")), h.Br(), h.Span(h.Class("dim"), g.Text(page.Cut(mask.WithoutPasswords(d.URL), 150)))},
		g.Text(d.Signal), state,
		g.Group{page.Spark(d.Component+" "+d.Signal+" out", d.Recent.Out), g.Text(" " + page.Count(float64(d.Delivered)))},
		h.Span(h.Class("n"), g.Text(page.Count(float64(d.Queued)))), gauge(d), oldest, success, failure)
}
