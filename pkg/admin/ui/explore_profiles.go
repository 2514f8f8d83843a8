package ui

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/explore"
)

// profilesView is what profiles there are of a service, and what the functions
// of one type of them take.
type profilesView struct {
	Enabled  bool                `json:"enabled"`
	Services map[string][]string `json:"services"` // the types of each
	Service  string              `json:"service"`
	Type     string              `json:"type"`
	Unit     string              `json:"unit"`
	// Total is the sum of Merged profiles.
	Total  int64 `json:"total"`
	Merged int   `json:"merged"`
	// Cut tells that there was more than is added up.
	Cut       bool               `json:"cut,omitempty"`
	Functions []explore.Function `json:"functions"`
	Profiles  []explore.Profile  `json:"profiles"`
}

// profileQuery reads a query. Without a service or a type, it takes one that
// there is.
func profileQuery(values url.Values, services map[string][]string) explore.ProfileQuery {
	q := explore.ProfileQuery{Service: values.Get("service"), Type: values.Get("type"), Labels: pairs(values)}
	q.Since, q.Until = timeSpan(values)
	if names := slices.Sorted(maps.Keys(services)); q.Service == "" && len(names) > 0 {
		q.Service = names[0]
	}
	if types := services[q.Service]; q.Type == "" && len(types) > 0 {
		q.Type = types[0]
		for _, likely := range []string{"cpu", "samples"} {
			if slices.Contains(types, likely) {
				q.Type = likely
				break
			}
		}
	}
	return q
}

func (u *UI) profilesModel(r *http.Request) (profilesView, error) {
	v := profilesView{Services: map[string][]string{}, Functions: []explore.Function{}, Profiles: []explore.Profile{}}
	w := u.options.Explore
	if w == nil {
		return v, nil
	}
	v.Enabled = true
	var err error
	if v.Services, err = w.ProfileServices(r.Context()); err != nil {
		return v, err
	}
	q := profileQuery(r.URL.Query(), v.Services)
	v.Service, v.Type = q.Service, q.Type
	if v.Profiles, err = w.Profiles(r.Context(), explore.ProfileQuery{Service: q.Service, Labels: q.Labels, Since: q.Since, Until: q.Until}); err != nil {
		return v, err
	}
	flame, err := w.Flame(r.Context(), q)
	if errors.Is(err, explore.ErrNoProfile) {
		return v, nil
	}
	if err != nil {
		return v, err
	}
	v.Unit, v.Total, v.Merged, v.Functions, v.Cut = flame.Unit, flame.Root.Value, flame.Profiles, flame.Functions, flame.Cut
	return v, nil
}

// flameModel is the tree that the flame graph draws.
func (u *UI) flameModel(r *http.Request) (explore.FlameResult, error) {
	w := u.options.Explore
	if w == nil {
		return explore.FlameResult{}, notFound("The Explore window is off: start with --explore.memory=16MiB.")
	}
	services, err := w.ProfileServices(r.Context())
	if err != nil {
		return explore.FlameResult{}, err
	}
	flame, err := w.Flame(r.Context(), profileQuery(r.URL.Query(), services))
	if errors.Is(err, explore.ErrNoProfile) {
		err = notFound("There is no profile of this kind in the window.")
	}
	return flame, err
}

// maxServices is how many services a form offers.
const maxServices = 300

func (u *UI) profilesPage(r *http.Request, v profilesView) Page {
	p := u.exploreShell("profiles", "Profiles", v.Enabled)
	if !v.Enabled {
		return p
	}
	p.Still = true
	values := r.URL.Query()
	if len(v.Services) == 0 {
		p.Body = append(p.Body, Empty("No profile is in the window."))
		return p
	}
	p.Body = append(p.Body, u.profileForm(v, values))
	links, _ := u.labelFilter("/explore/profiles", values)
	p.Body = append(p.Body, links)
	if since, until := timeSpan(values); values.Get("range") == "" && !since.IsZero() {
		p.Body = append(p.Body, h.P(g.Text("Only from "), clock(since), g.Text(" to "), clock(until), g.Text(". "),
			h.A(h.Href(u.href("/explore/profiles?service="+url.QueryEscape(v.Service))), g.Text("All the time there is"))))
	}
	if v.Merged == 0 {
		p.Body = append(p.Body, Empty("No profile of this kind is in the window for this time, or none in a format that can be drawn."))
	} else {
		p.Scripts = []string{"flame.js"}
		tree := url.Values{"service": {v.Service}, "type": {v.Type}, "range": values["range"], "since": values["since"], "until": values["until"], "label": values["label"]}
		p.Body = append(p.Body, u.flameNode(v, u.href("/api/v1/explore/flame?"+tree.Encode())), Section("functions", "Functions", functionTable(v)))
	}
	p.Body = append(p.Body, Section("list", "Profiles", profileTable(v.Profiles)))
	return p
}

func (u *UI) profileForm(v profilesView, values url.Values) g.Node {
	names := slices.Sorted(maps.Keys(v.Services))
	var services, types [][2]string
	for _, name := range names[:min(len(names), maxServices)] {
		services = append(services, [2]string{name, Cut(name, 100)})
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
	_, hidden := u.labelFilter("/explore/profiles", values)
	return u.queryForm("/explore/profiles", choice("service", "Service", v.Service, services...), choice("type", "Type", v.Type, types...),
		choice("range", "Time", values.Get("range"), rangeOptions()...), queryField("label", "Label", "", "name=value"), hidden)
}

// flameNode is where the script draws.
func (u *UI) flameNode(v profilesView, tree string) g.Node {
	return Section("flame", "Where it goes",
		h.P(g.Textf("%s of %s in %s.", amount(v.Total, v.Unit), v.Type, many(v.Merged, "profile")),
			g.If(v.Cut, g.Text(" There was more than can be added up: what is older, or rarer, is left out."))),
		h.NoScript(Notice("info", g.Text("The flame graph needs JavaScript, which is off in this browser. The table below lists the functions."))),
		h.Div(h.Class("bar"), g.Attr("hidden"), h.ID("flame-tools"),
			h.Label(h.For("flame-find"), g.Text("Find a function")), h.Input(h.ID("flame-find"), h.Type("search")),
			h.Button(h.ID("flame-reset"), h.Type("button"), g.Text("Show all")),
			h.Span(h.ID("flame-found"), h.Class("dim"), h.Role("status")),
		),
		h.Div(h.ID("flame-graph"), h.Class("flame"), h.Role("tree"), g.Attr("aria-label", "Flame graph: arrow keys move, Enter shows a part, Escape shows all"), h.Data("keep", ""), h.Data("tree", tree), h.Data("unit", v.Unit)),
		h.P(h.ID("flame-detail"), h.Class("flame-detail"), g.Attr("aria-live", "polite")),
	)
}

func functionTable(v profilesView) g.Node {
	left := budget(textBudget)
	var rows []g.Node
	for _, f := range v.Functions {
		share := float64(f.Self) / float64(max(v.Total, 1))
		rows = append(rows, Row(h.Code(g.Text(left.cut(f.Name, 300))), Num(amount(f.Self, v.Unit)), Num(percent(share)+" %"), Num(amount(f.Total, v.Unit)),
			Num(percent(float64(f.Total)/float64(max(v.Total, 1)))+" %")))
	}
	return Table("Functions, the ones that take most themselves first", []Column{{Title: "Function"}, {Title: "Self", Numeric: true}, {Title: "Share", Numeric: true}, {Title: "With what it calls", Numeric: true}, {Title: "Share", Numeric: true}}, rows...)
}

func profileTable(profiles []explore.Profile) g.Node {
	left := budget(textBudget)
	var rows []g.Node
	for _, p := range profiles {
		var types []g.Node
		for i, t := range p.Types {
			if i == maxPairs || !left.left() {
				break
			}
			types = append(types, h.Span(h.Class("label"), g.Text(left.cut(t.Name, 60)+" "+amount(t.Total, t.Unit))), g.Text(" "))
		}
		if len(types) == 0 {
			types = []g.Node{h.Span(h.Class("dim"), g.Text("cannot be drawn"))}
		}
		shown := map[string]string{}
		for _, name := range slices.Sorted(maps.Keys(p.Labels)) {
			if len(shown) < maxPairs && left.left() {
				shown[name] = left.cut(p.Labels[name], 100)
			}
		}
		rows = append(rows, Row(clock(p.Time), g.Text(Cut(p.Format, 40)), Num(Size(float64(p.Size))), g.Group(types), labelList(shown)))
	}
	return Table("Profiles, the newest first", []Column{{Title: "Time"}, {Title: "Format"}, {Title: "Size", Numeric: true}, {Title: "Types"}, {Title: "Labels"}}, rows...)
}

// amount is a value of a profile in its unit.
func amount(v int64, unit string) string {
	switch unit {
	case "nanoseconds":
		return Duration(time.Duration(v))
	case "microseconds":
		return Duration(time.Duration(v) * time.Microsecond)
	case "bytes":
		return Size(float64(v))
	}
	return Count(float64(v))
}
