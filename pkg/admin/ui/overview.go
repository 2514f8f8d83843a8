package ui

import (
	"cmp"
	"context"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/explore"
	"collector/pkg/graph"
	"collector/pkg/live"
)

// overview is what stands on the first page.
type overview struct {
	LoadedAt     time.Time                 `json:"loadedAt"`
	Hash         string                    `json:"configurationHash"`
	LoadError    string                    `json:"loadError,omitempty"`
	Components   map[graph.HealthState]int `json:"components"` // how many, by health
	Problems     []problem                 `json:"problems"`
	Signals      []signalFlow              `json:"signals"`
	Destinations []Destination             `json:"destinations"`
	Targets      map[string]int            `json:"targets"` // by state
	Tails        map[string]int            `json:"tails"`   // by state
	Services     []serviceInfo             `json:"services"`
}

// signalFlow is one signal, from its sources to its destinations. The counts
// are the sums of those of its destinations, as on /metrics:
// received = delivered + queued + dropped.
type signalFlow struct {
	Signal       string            `json:"signal"`
	Destinations int               `json:"destinations"`
	Received     uint64            `json:"received"`
	Delivered    uint64            `json:"delivered"`
	Queued       uint64            `json:"queued"`
	QueuedBytes  int64             `json:"queuedBytes"`
	Dropped      map[string]uint64 `json:"dropped"`
	// SourcesPerSecond is what comes from the sources, before any component
	// changes or drops it; the rates below are the destinations'.
	SourcesPerSecond float64 `json:"sourcesPerSecond"`
	InPerSecond      float64 `json:"inPerSecond"`
	OutPerSecond     float64 `json:"outPerSecond"`
	DroppedPerSecond float64 `json:"droppedPerSecond"`
	// LagSeconds is the age of the oldest that has been read and not delivered.
	LagSeconds float64           `json:"lagSeconds"`
	Recent     DestinationRecent `json:"recent"`
}

func (u *UI) overviewModel(r *http.Request) (overview, error) {
	s := u.options.Source.Summary()
	now := situation{now: time.Now(), veil: u.veil(), loadError: s.LoadError, components: s.Components, targets: u.scrapeTargets(), tails: u.logTails()}
	if u.options.Destinations != nil {
		now.destinations = slices.Clone(u.options.Destinations.Destinations())
		now.nowhere = len(now.destinations) == 0
		for i := range now.destinations {
			d := &now.destinations[i]
			d.ID, d.URL, d.LastError = shownURL(d.ID), shownURL(d.URL), shownURL(d.LastError)
		}
	}
	if u.options.Inventory != nil {
		now.engines = u.options.Inventory.Engines()
	}
	if u.options.Orphans != nil {
		now.orphans = u.options.Orphans()
	}
	o := overview{
		LoadedAt: s.LoadedAt, Hash: s.Hash, LoadError: s.LoadError, Components: map[graph.HealthState]int{}, Problems: now.problems(),
		Destinations: append([]Destination{}, now.destinations...), Targets: map[string]int{}, Tails: map[string]int{},
	}
	for _, c := range s.Components {
		o.Components[c.Health.State]++
	}
	for i := range now.targets {
		o.Targets[now.targets[i].State]++
	}
	for i := range now.tails {
		o.Tails[now.tails[i].State]++
	}
	var rates []EdgeRate
	if u.options.Rates != nil {
		rates = u.options.Rates.EdgeRates()
	}
	o.Signals = signalFlows(&now, rates)
	o.Services = u.services(r.Context(), &now)
	return o, nil
}

// signalFlows sums what there is of each signal.
func signalFlows(s *situation, rates []EdgeRate) []signalFlow {
	var out []signalFlow
	for _, signal := range live.Signals() {
		f := signalFlow{Signal: signal.String(), Dropped: map[string]uint64{}, SourcesPerSecond: fromSources(rates, signal.String())}
		for i := range s.destinations {
			if d := &s.destinations[i]; d.Signal == f.Signal {
				f.add(d, s.now)
			}
		}
		if f.Signal == "logs" {
			for i := range s.tails {
				f.LagSeconds = max(f.LagSeconds, s.tails[i].LagSeconds)
			}
		}
		f.InPerSecond, f.OutPerSecond, f.DroppedPerSecond = ofNow(f.Recent.In), ofNow(f.Recent.Out), ofNow(f.Recent.Dropped)
		out = append(out, f)
	}
	return out
}

func (f *signalFlow) add(d *Destination, now time.Time) {
	f.Destinations++
	f.Received += d.Received
	f.Delivered += d.Delivered
	f.Queued += d.Queued
	f.QueuedBytes += d.QueuedBytes
	for reason, n := range d.Dropped {
		f.Dropped[reason] += n
	}
	if !d.OldestQueued.IsZero() {
		f.LagSeconds = max(f.LagSeconds, now.Sub(d.OldestQueued).Seconds())
	}
	f.Recent.In = addSeries(f.Recent.In, d.Recent.In)
	f.Recent.Out = addSeries(f.Recent.Out, d.Recent.Out)
	f.Recent.Waiting = addSeries(f.Recent.Waiting, d.Recent.Waiting)
	f.Recent.Dropped = addSeries(f.Recent.Dropped, d.Recent.Dropped)
}

// addSeries adds values that end at the same time.
func addSeries(a, b []float64) []float64 {
	if len(a) < len(b) {
		a, b = b, a
	}
	sum := slices.Clone(a)
	for i, v := range b {
		sum[len(a)-len(b)+i] += v
	}
	return sum
}

// ofNow is the mean of the last half minute of a series with a value each 5 s,
// as is the rate of an edge.
func ofNow(values []float64) float64 {
	values = values[max(0, len(values)-6):]
	if len(values) == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// fromSources is the rate on the edges before which there is none.
func fromSources(rates []EdgeRate, signal string) (sum float64) {
	fed := map[string]bool{}
	for _, e := range rates {
		if e.Signal == signal {
			fed[e.To] = true
		}
	}
	// A source that forwards to several receivers gives each the same.
	most := map[string]float64{}
	for _, e := range rates {
		if e.Signal == signal && !fed[e.From] {
			most[e.From] = max(most[e.From], e.ItemsPerSecond)
		}
	}
	for _, rate := range most {
		sum += rate
	}
	return sum
}

// serviceInfo is what is collected of one service of a Compose project, or of a
// container outside of any.
type serviceInfo struct {
	Project    string `json:"project"` // "" for a container outside of any
	Service    string `json:"service"` // or the container's name
	Containers int    `json:"containers"`
	Targets    int    `json:"targets"`
	TargetsUp  int    `json:"targetsUp"`
	Tails      int    `json:"tails"`
	Reading    int    `json:"tailsReading"`
	// Traces and Profiles are known only while the Explore window is on, by the
	// name of the service: if Ambiguous, they may be those of another project.
	Traces    bool `json:"traces"`
	Profiles  bool `json:"profiles"`
	Ambiguous bool `json:"ambiguous,omitempty"` // another project has a service of this name
}

// services groups the containers by project and service.
func (u *UI) services(ctx context.Context, s *situation) []serviceInfo {
	if u.options.Inventory == nil {
		return []serviceInfo{}
	}
	type key struct{ project, service string }
	found, of := map[key]*serviceInfo{}, map[string]*serviceInfo{}
	for _, c := range u.options.Inventory.Containers() {
		if c.Ended {
			continue
		}
		k := key{c.Project, cmp.Or(c.Service, c.Name)}
		if found[k] == nil {
			found[k] = &serviceInfo{Project: k.project, Service: k.service}
		}
		found[k].Containers++
		of[c.ID] = found[k]
	}
	for i := range s.targets {
		if info := of[s.targets[i].Discovered.Get(containerID)]; info != nil {
			info.Targets++
			info.TargetsUp += boolRank(s.targets[i].State == "up")
		}
	}
	for i := range s.tails {
		if info := of[s.tails[i].ID]; info != nil {
			info.Tails++
			info.Reading += boolRank(s.tails[i].State == tailReading && s.tails[i].Error == "")
		}
	}
	named := map[string]int{}
	for k := range found {
		named[k.service]++
	}
	traces, profiles := u.seenServices(ctx)
	out := make([]serviceInfo, 0, len(found))
	for _, info := range found {
		info.Traces, info.Profiles, info.Ambiguous = traces[info.Service], profiles[info.Service], named[info.Service] > 1
		out = append(out, *info)
	}
	slices.SortFunc(out, func(a, b serviceInfo) int {
		return cmp.Or(cmp.Compare(boolRank(a.Project == ""), boolRank(b.Project == "")), strings.Compare(a.Project, b.Project), strings.Compare(a.Service, b.Service))
	})
	return out
}

// seenServices are the services of which the Explore window has traces and
// profiles.
func (u *UI) seenServices(ctx context.Context) (traces, profiles map[string]bool) {
	traces, profiles = map[string]bool{}, map[string]bool{}
	if u.options.Explore == nil {
		return traces, profiles
	}
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond) // the page does without
	defer cancel()
	found, _ := u.options.Explore.Traces(ctx, explore.TraceQuery{Limit: 500})
	for _, t := range found {
		traces[t.Service] = true
	}
	services, _ := u.options.Explore.ProfileServices(ctx)
	for name := range maps.Keys(services) {
		profiles[name] = true
	}
	return traces, profiles
}

// maxProblems is how many problems a page lists.
const maxProblems = 50

// maxServiceRows is how many services the overview lists.
const maxServiceRows = 200

func (u *UI) overviewPage(_ *http.Request, o overview) Page {
	var body []g.Node
	for i, p := range o.Problems {
		if i == maxProblems {
			body = append(body, Note("bad", h.A(h.Href(u.href("/components?sort=health")), g.Textf("There are %d more problems", len(o.Problems)-i))))
			break
		}
		if p.everywhere {
			continue
		}
		body = append(body, u.problemNode(p))
	}
	if len(o.Problems) == 0 {
		body = append(body, Note("good", g.Text("Nothing is wrong.")))
	}
	body = append(body, h.Div(h.Class("cards signals"), g.Map(o.Signals, u.signalCard)),
		Section("destinations", "Destinations", u.destinationTable(o.Destinations)),
		Section("containers", "Containers", u.serviceTable(o)),
		Section("state", "Components", Facts(u.stateFacts(o)...)))
	return Page{Title: "Overview", Section: "Overview", API: "/api/v1/overview", Body: body}
}

func (u *UI) problemNode(p problem) g.Node {
	nodes := []g.Node{g.Text(Cut(p.Message, maxString) + " "), h.Strong(g.Text(p.Mend + " "))}
	if p.Link != "" {
		nodes = append(nodes, h.A(h.Href(u.href(p.Link)), g.Text("See more"), h.Span(h.Class("sr"), g.Text(" of "+p.Component))))
	}
	if !p.Since.IsZero() {
		nodes = append(nodes, g.Text(" ("), Ago(p.Since), g.Text(")"))
	}
	return Note(p.Kind, nodes...)
}

func (u *UI) stateFacts(o overview) []g.Node {
	var facts []g.Node
	for _, state := range []graph.HealthState{graph.Healthy, graph.Unhealthy, graph.Unknown, graph.Exited} {
		if n := o.Components[state]; n > 0 || state == graph.Healthy {
			facts = append(facts, Fact(string(state), Badge(kindOf(state), Count(float64(n)))))
		}
	}
	return append(facts, Fact("configuration loaded", Ago(o.LoadedAt)))
}

// signalCard shows one signal from its sources to its destinations.
func (u *UI) signalCard(f signalFlow) g.Node {
	unit := unitOf(f.Signal)
	title := h.H2(h.Class("signal "+f.Signal), g.Text(strings.ToUpper(f.Signal[:1])+f.Signal[1:]))
	if f.Destinations == 0 && f.SourcesPerSecond == 0 {
		return h.Section(h.Class("card"), title, Empty("Nothing in the configuration delivers "+f.Signal+"."))
	}
	if f.Received == 0 && f.SourcesPerSecond == 0 {
		return h.Section(h.Class("card "+f.Signal), title, Empty("Nothing has come yet."))
	}
	return h.Section(h.Class("card "+f.Signal), title, Facts(
		Fact("from sources", g.Text(perSecond(f.SourcesPerSecond, f.Recent.In, " "+unit+"/s"))),
		Fact("in", g.Text(perSecond(f.InPerSecond, f.Recent.In, "/s")+", "+Count(float64(f.Received))+" in all "), spark(f.Signal+" in", f.Recent.In)),
		Fact("out", g.Text(perSecond(f.OutPerSecond, f.Recent.Out, "/s")+", "+Count(float64(f.Delivered))+" in all "), spark(f.Signal+" out", f.Recent.Out)),
		Fact("waiting", g.Text(Count(float64(f.Queued))+" ("+Size(float64(f.QueuedBytes))+") "), spark(f.Signal+" waiting", f.Recent.Waiting)),
		Fact("dropped", f.dropped()...),
		Fact("lag", g.Text(lagText(f.LagSeconds))),
	))
}

// dropped tells how much has been dropped and why: what the configuration wants
// dropped is no loss.
func (f *signalFlow) dropped() []g.Node {
	all, lost := uint64(0), uint64(0)
	var reasons []string
	for _, reason := range sortedKeys(f.Dropped) {
		n := f.Dropped[reason]
		if n == 0 {
			continue
		}
		all += n
		if !intended(reason) {
			lost += n
		}
		reasons = append(reasons, Count(float64(n))+" "+reason)
	}
	if all == 0 {
		return []g.Node{g.Text("none")}
	}
	kind, wanted := "bad", ""
	if lost == 0 {
		kind, wanted = "info", ", as configured"
	}
	return []g.Node{Badge(kind, Count(float64(all))), g.Text(" (" + Cut(strings.Join(reasons, ", "), 300) + wanted + ") "), spark(f.Signal+" dropped", f.Recent.Dropped)}
}

// spark is a sparkline of the last five minutes, once there is something to
// draw.
func spark(label string, values []float64) g.Node {
	if len(values) < 2 {
		return nil
	}
	return Sparkline(label+" over the last five minutes", values)
}

// maxDestinations is how many destinations the overview lists.
const maxDestinations = 100

func (u *UI) destinationTable(all []Destination) g.Node {
	if len(all) == 0 {
		return Empty("The configuration has no destination that is asked to deliver anything.")
	}
	var rows []g.Node
	for i := range all {
		if i == maxDestinations {
			rows = append(rows, Row(g.Textf("and %d more, in the JSON", len(all)-i), nil, nil, nil, nil, nil, nil, nil))
			break
		}
		rows = append(rows, u.destinationRow(&all[i]))
	}
	return Table("Destinations", []Column{
		{Title: "Destination"}, {Title: "Signal"}, {Title: "State"}, {Title: "Out"}, {Title: "Waiting", Numeric: true}, {Title: "Oldest waiting"},
		{Title: "Last success"}, {Title: "Last error"},
	}, rows...)
}

func (u *UI) destinationRow(d *Destination) g.Node {
	state := Badge("good", "up")
	switch {
	case !d.Stores && d.Received == 0:
		state = Badge("info", "nothing has come yet")
	case !d.Stores:
		state = Badge("info", "shown here only")
	case !d.Healthy:
		state = Badge("bad", "down")
	case !d.UnansweredSince.IsZero():
		state = Badge("warn", "no answer for "+Count(math.Trunc(time.Since(d.UnansweredSince).Seconds()))+" s")
	case d.WaitingTenants > 0:
		state = Badge("warn", Count(float64(d.WaitingTenants))+" tenants wait")
	case d.LastSuccess.IsZero() && d.Delivered == 0:
		state = Badge("info", "nothing sent yet")
	}
	oldest := h.Span(h.Class("dim"), g.Text("none waits"))
	if !d.OldestQueued.IsZero() {
		oldest = Ago(d.OldestQueued)
	}
	success, failure := Ago(d.LastSuccess), g.Node(h.Span(h.Class("dim"), g.Text("none")))
	if !d.Stores {
		success = h.Span(h.Class("dim"), g.Text("–"))
	}
	if d.LastError != "" {
		failure = g.Group{Ago(d.LastFailure), g.Text(": " + Cut(shownURL(d.LastError), 300))}
	}
	return Row(
		g.Group{u.ComponentLink(d.Component), h.Br(), h.Span(h.Class("dim"), g.Text(Cut(shownURL(d.URL), 150)))},
		g.Text(d.Signal), state,
		g.Group{spark(d.Component+" "+d.Signal+" out", d.Recent.Out), g.Text(" " + Count(float64(d.Delivered)))},
		h.Span(h.Class("n"), g.Text(Count(float64(d.Queued)))), oldest, success, failure)
}

// serviceTable lists the services below their Compose projects.
func (u *UI) serviceTable(o overview) g.Node {
	if len(o.Services) == 0 {
		return Empty("No container has been found.")
	}
	columns := []Column{{Title: "Service"}, {Title: "Containers", Numeric: true}, {Title: "Metrics"}, {Title: "Logs"}}
	window := u.options.Explore != nil // which alone knows of traces and profiles
	if window {
		columns = append(columns, Column{Title: "Traces"}, Column{Title: "Profiles"})
	}
	var groups []g.Node
	left := maxServiceRows
	for rest := o.Services; len(rest) > 0 && left > 0; {
		n := projectEnd(rest)
		shown := rest[:min(n, left)]
		groups = append(groups, RowGroup(len(columns), projectHeading(rest[:n]), g.Map(shown, func(s serviceInfo) g.Node { return u.serviceRow(s, window) })))
		rest, left = rest[n:], left-len(shown)
	}
	nodes := g.Group{GroupedTable("What is collected from each service, by Compose project", columns, groups...)}
	if more := len(o.Services) - maxServiceRows; more > 0 {
		nodes = append(nodes, h.P(g.Textf("There are %d more services: see ", more), h.A(h.Href(u.href("/targets")), g.Text("the targets")), g.Text(".")))
	}
	return nodes
}

// projectEnd is how many of services, which are sorted, belong to the project of
// the first.
func projectEnd(services []serviceInfo) int {
	n := slices.IndexFunc(services, func(s serviceInfo) bool { return s.Project != services[0].Project })
	if n < 0 {
		return len(services)
	}
	return n
}

// projectHeading names a project, of which all services are given.
func projectHeading(services []serviceInfo) g.Node {
	containers := 0
	for i := range services {
		containers += services[i].Containers
	}
	name, counted := services[0].Project, many(len(services), "service")+", "+many(containers, "container")
	if name == "" {
		name, counted = "Outside of Compose", many(containers, "container")
	}
	return g.Group{h.Strong(g.Text(Cut(name, 100))), h.Span(h.Class("dim"), g.Text(" "+counted))}
}

func (u *UI) serviceRow(s serviceInfo, window bool) g.Node {
	cells := []g.Node{
		g.Text(Cut(s.Service, 100)), h.Span(h.Class("n"), g.Text(Count(float64(s.Containers)))),
		u.collected("/targets?q=", s.Service, s.TargetsUp, s.Targets, "up"), u.collected("/targets/logs?q=", s.Service, s.Reading, s.Tails, "read"),
	}
	if window {
		cells = append(cells, seen(s.Traces, s.Ambiguous), seen(s.Profiles, s.Ambiguous))
	}
	return Row(cells...)
}

// collected links to what is collected of a service, or to why nothing is.
func (u *UI) collected(path, service string, good, all int, word string) g.Node {
	if all == 0 {
		return h.A(h.Class("dim"), h.Href(u.href("/relabel?q="+url.QueryEscape(service))), g.Text("no: why?"))
	}
	kind := "good"
	if good < all {
		kind = "bad"
	}
	return h.A(h.Href(u.href(path+url.QueryEscape(service))), Badge(kind, Count(float64(good))+" of "+Count(float64(all))+" "+word))
}

// seen tells whether something came from a service of this name.
func seen(yes, ambiguous bool) g.Node {
	switch {
	case yes && ambiguous:
		return Badge("info", "seen, from this or another project")
	case yes:
		return Badge("good", "seen")
	}
	return h.Span(h.Class("dim"), g.Text("–"))
}
