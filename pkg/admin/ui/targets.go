package ui

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"collector/pkg/inspect"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/prometheus/prometheus/model/labels"
)

// targetInfo is one target as it is shown.
type targetInfo struct {
	Component        string            `json:"component"`
	ID               string            `json:"id"`
	Name             string            `json:"name"` // of its container, or else its address
	Job              string            `json:"job"`
	URL              string            `json:"url"`
	State            string            `json:"state"`
	Labels           map[string]string `json:"labels"`
	DiscoveredLabels labelSet          `json:"discoveredLabels"`
	LastScrape       time.Time         `json:"lastScrape"`
	Seconds          float64           `json:"lastScrapeSeconds"`
	Interval         string            `json:"scrapeInterval"`
	Samples          int               `json:"samples"`
	Error            string            `json:"error,omitempty"`
}

// labelSet is labels that are cleared of secrets when they are written as JSON,
// so that a page that does not show them need not.
type labelSet struct {
	labels labels.Labels
	veil   *veil
}

func (l labelSet) shown() map[string]string { return l.veil.labels(l.labels) }

// MarshalJSON implements json.Marshaler.
func (l labelSet) MarshalJSON() ([]byte, error) { return json.Marshal(l.shown()) }

// UnmarshalJSON implements json.Unmarshaler.
func (l *labelSet) UnmarshalJSON(text []byte) error { return l.labels.UnmarshalJSON(text) }

// targetList is a page of the targets.
type targetList struct {
	Paged[targetInfo]
	States map[string]int `json:"states"` // of all targets, whatever the filter
}

func (u *UI) scrapeTargets() []inspect.ScrapeTarget {
	if u.options.Inventory == nil {
		return nil
	}
	return u.options.Inventory.ScrapeTargets()
}

func infoOf(t *inspect.ScrapeTarget, v *veil) targetInfo {
	own := map[string]bool{}
	secretsIn(t.Discovered, own)
	v = v.and(own)
	return targetInfo{
		Component: t.Component, ID: t.ID, Name: v.text(nameOf(t.Discovered)), Job: v.text(t.Job), URL: v.url(t.URL), State: t.State,
		Labels: v.labels(t.Labels), DiscoveredLabels: labelSet{t.Discovered, v},
		LastScrape: t.LastScrape, Seconds: t.Took.Seconds(), Interval: t.Interval, Samples: t.Samples, Error: v.url(t.Error),
	}
}

func (u *UI) targetsModel(r *http.Request) (targetList, error) {
	all, v := u.scrapeTargets(), u.veil()
	m := targetList{States: map[string]int{"up": 0, "down": 0, "unknown": 0}}
	for i := range all {
		m.States[all[i].State]++
	}
	l, state, component := ParseListing(r, "state"), r.URL.Query().Get("state"), r.URL.Query().Get("component")
	page := Select(l, all, func(t inspect.ScrapeTarget) bool {
		return (state == "" || t.State == state) && (component == "" || t.Component == component) &&
			(l.Query == "" || l.Matches(t.Component, v.text(t.Job), v.url(t.URL), t.State, v.text(nameOf(t.Discovered)), allLabels(v, t.Labels), v.url(t.Error)))
	}, compareTargets)
	m.Paged = Paged[targetInfo]{Items: []targetInfo{}, Total: page.Total, Page: page.Page, Pages: page.Pages}
	for i := range page.Items {
		m.Items = append(m.Items, infoOf(&page.Items[i], v))
	}
	return m, nil
}

// allLabels is labels for a filter to look into; secrets cannot be found.
func allLabels(v *veil, all labels.Labels) string {
	var b strings.Builder
	all.Range(func(l labels.Label) {
		b.WriteString(l.Name + "=" + v.shown(l.Name, l.Value) + "\x00")
	})
	return b.String()
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
		first = strings.Compare(a.Error, b.Error)
	}
	return cmp.Or(first, strings.Compare(a.URL, b.URL), strings.Compare(a.ID, b.ID))
}

// stateRank puts what needs a look before what does not.
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

// targetTabs lead between the scraped targets and the log tails.
func (u *UI) targetTabs(current string) g.Node {
	tab := func(path, name string) g.Node {
		return h.Li(h.A(h.Href(u.href(path)), g.If(path == current, g.Attr("aria-current", "true")), g.Text(name)))
	}
	return h.Ul(h.Class("tabs"), tab("/targets", "Scrape targets"), tab("/targets/logs", "Log tails"))
}

func (u *UI) targetsPage(r *http.Request, m targetList) Page {
	l := ParseListing(r, "state")
	var rows []g.Node
	for _, t := range m.Items {
		rows = append(rows, Row(
			g.Group{h.A(h.Href(u.targetHref(t.Component, t.ID)), g.Text(Cut(t.Name, 100))), h.Br(), h.Span(h.Class("dim"), g.Text(Cut(t.URL, 150)))},
			Badge(stateKind(t.State), t.State),
			g.Text(Cut(t.Job, 80)),
			fewLabels(t.Labels),
			Ago(t.LastScrape),
			h.Span(h.Class("n"), g.Text(seconds(t.LastScrape, t.Seconds))),
			h.Span(h.Class("n"), g.Text(Count(float64(t.Samples)))),
			errorCell(t.Error),
		))
	}
	columns := []Column{
		{Title: "Target", Sort: "url"}, {Title: "State", Sort: "state"}, {Title: "Job", Sort: "job"}, {Title: "Labels"},
		{Title: "Last scrape", Sort: "last"}, {Title: "Duration", Numeric: true, Sort: "duration"},
		{Title: "Samples", Numeric: true, Sort: "samples"}, {Title: "Error", Sort: "error"},
	}
	body := []g.Node{
		u.targetTabs("/targets"),
		h.P(Badge("good", strconv.Itoa(m.States["up"])+" up"), g.Text(" "), Badge(badIf(m.States["down"]), strconv.Itoa(m.States["down"])+" down"), g.Text(" "),
			Badge("info", strconv.Itoa(m.States["unknown"])+" not scraped yet")),
		u.SearchForm(l, "Filter targets", stateSelect(r, "up", "down", "unknown"), keepField(r, "component")),
	}
	if len(m.Items) == 0 {
		body = append(body, Empty("No target is as you ask. "), h.P(g.Text("Why a container is not a target stands on the page "), h.A(h.Href(u.href("/relabel")), g.Text("Relabel")), g.Text(".")))
	} else {
		body = append(body, u.SortedTable(l, "Scrape targets", columns, rows...), u.Pager(l, m.Page, m.Pages, m.Total))
	}
	return Page{Title: "Targets", Section: "Targets", API: "/api/v1/targets", Body: body}
}

// errorCell is an error in a list, for which there has to be room.
func errorCell(text string) g.Node {
	return g.If(text != "", h.Span(h.Class("error"), g.Text(Cut(text, 200))))
}

func badIf(n int) string {
	if n > 0 {
		return "bad"
	}
	return "info"
}

func seconds(at time.Time, s float64) string {
	if at.IsZero() {
		return ""
	}
	return Duration(time.Duration(s * float64(time.Second)))
}

// stateSelect is a field that filters by state.
func stateSelect(r *http.Request, states ...string) g.Node {
	now := r.URL.Query().Get("state")
	options := []g.Node{h.Option(h.Value(""), g.Text("any state"))}
	for _, s := range states {
		options = append(options, h.Option(h.Value(s), g.If(s == now, h.Selected()), g.Text(s)))
	}
	return g.Group{h.Label(h.Class("sr"), h.For("state"), g.Text("State")), h.Select(append([]g.Node{h.ID("state"), h.Name("state")}, options...)...)}
}

// keepField keeps a parameter of the query when a form is sent.
func keepField(r *http.Request, name string) g.Node {
	v := r.URL.Query().Get(name)
	return g.If(v != "", h.Input(h.Type("hidden"), h.Name(name), h.Value(v)))
}

// maxFew is how many labels a row of a list shows.
const maxFew = 5

// fewLabels shows the first labels that another column does not.
func fewLabels(all map[string]string) g.Node {
	var nodes []g.Node
	left := 0
	for _, name := range sortedKeys(all) {
		if name == "job" || name == "instance" {
			continue
		}
		if len(nodes) >= 2*maxFew {
			left++
			continue
		}
		nodes = append(nodes, h.Span(h.Class("label"), g.Text(Cut(name, 40)+"="+Cut(all[name], 60))), g.Text(" "))
	}
	if left > 0 {
		nodes = append(nodes, h.Span(h.Class("dim"), g.Textf("and %d more", left)))
	}
	return g.Group(nodes)
}

func (u *UI) targetHref(component, id string) string {
	return u.href("/targets/" + url.PathEscape(component) + "/" + url.PathEscape(id))
}

func (u *UI) targetModel(r *http.Request) (targetInfo, error) {
	component, id := r.PathValue("component"), r.PathValue("id")
	for _, t := range u.scrapeTargets() {
		if t.Component == component && t.ID == id {
			return infoOf(&t, u.veil()), nil
		}
	}
	return targetInfo{}, notFound("There is no such target any more: it has disappeared, or its labels have changed.")
}

func (u *UI) targetPage(_ *http.Request, t targetInfo) Page {
	return Page{Title: "Target " + Cut(t.Name, 100), Section: "Targets", API: "/api/v1/targets/" + url.PathEscape(t.Component) + "/" + t.ID, Body: u.targetBody(t)}
}

func (u *UI) targetBody(t targetInfo) []g.Node {
	facts := []g.Node{
		Fact("state", Badge(stateKind(t.State), t.State)),
		Fact("address", h.Code(g.Text(Cut(t.URL, 1000)))),
		Fact("scraped by", u.ComponentLink(t.Component)),
		Fact("job", g.Text(Cut(t.Job, 200))),
		Fact("last scrape", Ago(t.LastScrape)),
		Fact("took", g.Text(seconds(t.LastScrape, t.Seconds))),
		Fact("samples", g.Text(Count(float64(t.Samples)))),
		Fact("every", g.Text(t.Interval)),
	}
	body := []g.Node{}
	if t.Error != "" {
		body = append(body, Notice("bad", g.Text(Cut(t.Error, maxString))))
	}
	return append(body, Facts(facts...),
		Section("ask", "What it answers",
			h.Form(h.Method("post"), h.Action(u.targetHref(t.Component, t.ID)+"/response"),
				h.P(g.Text("The collector asks the target now, as it does for a scrape, and shows at most 1 MiB of the answer.")),
				h.Button(h.Type("submit"), h.Class("primary"), g.Text("Ask the target")))),
		Section("labels", "Labels of its series", labelTable("Labels after relabelling", t.Labels)),
		Section("discovered", "Labels as the component is given them", labelTable("Labels before the scrape", t.DiscoveredLabels.shown()),
			h.P(h.A(h.Href(u.href("/relabel?q="+url.QueryEscape(t.Name))), g.Text("How rules made them"))),
		))
}

// maxTableLabels bounds what a page lists of one target.
const maxTableLabels = 300

func labelTable(caption string, all map[string]string) g.Node {
	if len(all) == 0 {
		return Empty("There are none.")
	}
	var rows []g.Node
	for i, name := range sortedKeys(all) {
		if i == maxTableLabels {
			rows = append(rows, Row(g.Textf("and %d more", len(all)-i), nil))
			break
		}
		rows = append(rows, Row(h.Code(g.Text(Cut(name, 200))), h.Code(g.Text(Cut(all[name], 500)))))
	}
	return Table(caption, []Column{{Title: "Label"}, {Title: "Value"}}, rows...)
}

// targetAnswer is what a target said when it was asked.
type targetAnswer struct {
	Target   targetInfo        `json:"target"`
	Response *inspect.Response `json:"response,omitempty"`
	Error    string            `json:"error,omitempty"` // why there is no response
}

const (
	// maxAsking is how many targets may be asked at once.
	maxAsking = 4
	// maxAsks is how many may be asked in askWindow, by all who use the UI
	// together: whoever reaches it can make the collector send requests.
	maxAsks   = 30
	askWindow = 10 * time.Second
)

// askRate counts the requests to targets.
type askRate struct {
	mu    sync.Mutex
	since time.Time // guarded by mu; when the window under way began
	asks  int       // guarded by mu; since then
}

// admit reports whether a target may be asked now.
func (a *askRate) admit(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.since.IsZero() || now.Sub(a.since) >= askWindow {
		a.since, a.asks = now, 0
	}
	a.asks++
	return a.asks <= maxAsks
}

// askTarget asks a target on behalf of a person. The target is one that is
// being scraped: nobody can have the collector ask something else.
func (u *UI) askTarget(r *http.Request) (targetAnswer, error) {
	t, err := u.targetModel(r)
	if err != nil {
		return targetAnswer{}, err
	}
	defer u.asking.Add(-1)
	if u.asking.Add(1) > maxAsking {
		return targetAnswer{Target: t, Error: "other requests to targets are under way: try again in a moment"}, nil
	}
	if !u.asked.admit(time.Now()) {
		return targetAnswer{Target: t, Error: fmt.Sprintf("%d requests to targets were made in the last %s: try again in a moment", maxAsks, askWindow)}, nil
	}
	answer, found, err := u.options.Inventory.Fetch(r.Context(), t.Component, t.ID)
	if !found {
		return targetAnswer{}, notFound("There is no such target any more.")
	}
	if err != nil {
		return targetAnswer{Target: t, Error: u.veil().url(err.Error())}, nil
	}
	return targetAnswer{Target: t, Response: &answer}, nil
}

func (u *UI) responsePage(_ *http.Request, m targetAnswer) Page {
	t := m.Target
	body := []g.Node{h.P(h.A(h.Href(u.targetHref(t.Component, t.ID)), g.Text("Back to the target")))}
	if m.Error != "" {
		body = append(body, Notice("bad", g.Text(Cut(m.Error, maxString))))
	}
	if a := m.Response; a != nil {
		text, cut := fitting(a.Body, maxAnswer)
		body = append(body, Facts(
			Fact("status", Badge(map[bool]string{true: "good", false: "bad"}[strings.HasPrefix(a.Status, "200")], Cut(a.Status, 200))),
			g.If(a.Location != "", Fact("redirects to", h.Code(g.Text(Cut(a.Location, 500))), g.Text(" (not followed)"))),
			Fact("content type", h.Code(g.Text(Cut(a.ContentType, 200)))),
			Fact("took", g.Text(Duration(a.Took))),
			Fact("size", g.Text(Size(float64(len(a.Body)))), g.If(a.Truncated, g.Text(" and more, which was not read"))),
		), h.Pre(h.TabIndex("0"), g.Attr("aria-label", "The answer"), g.Text(text)))
		if cut {
			body = append(body, Notice("info", g.Text("This is the beginning. "), h.Form(h.Method("post"), h.Action(u.href("/api/v1/targets/"+url.PathEscape(t.Component)+"/"+t.ID+"/response")),
				h.Button(h.Type("submit"), g.Text("Ask again, and show all of it as JSON")))))
		}
	}
	body = append(body, h.Form(h.Method("post"), h.Action(u.targetHref(t.Component, t.ID)+"/response"), h.Button(h.Type("submit"), g.Text("Ask again"))))
	return Page{Title: "Answer of " + Cut(t.Name, 100), Section: "Targets", Still: true, Body: body}
}

// maxAnswer is how many bytes of HTML an answer may become.
const maxAnswer = 400 << 10

// fitting is the beginning of text that becomes at most limit bytes of HTML.
func fitting(text string, limit int) (beginning string, cut bool) {
	size := 0
	for i, c := range text {
		switch c {
		case '<', '>', '&', '"', '\'':
			size += 5
		default:
			size += 4
			if c < 0x80 {
				size -= 3
			}
		}
		if size > limit {
			return text[:i], true
		}
	}
	return text, false
}
