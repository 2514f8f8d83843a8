package ui

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/explore"
)

// exploreView is how full the window of recent data is.
type exploreView struct {
	Enabled bool            `json:"enabled"`
	MaxAge  time.Duration   `json:"maxAgeNs"`
	Signals []explore.Stats `json:"signals"`
}

func (u *UI) exploreModel(r *http.Request) (v exploreView, err error) {
	v.Signals = []explore.Stats{}
	if w := u.options.Explore; w != nil {
		v.Enabled, v.MaxAge = true, w.MaxAge()
		v.Signals, err = w.Stats(r.Context())
	}
	return v, err
}

func (u *UI) explorePage(_ *http.Request, v exploreView) Page {
	p := u.exploreShell("", "Explore", v.Enabled)
	if !v.Enabled {
		return p
	}
	var rows []g.Node
	for _, s := range v.Signals {
		name := s.Signal.String()
		full := float64(s.Bytes) / float64(max(s.Limit, 1))
		rows = append(rows, Row(
			h.A(h.Href(u.href("/explore/"+name)), g.Text(strings.ToUpper(name[:1])+name[1:])),
			Num(Count(float64(s.Items))+" "+keptUnit(name)),
			g.Group{meter(full, "how full"), g.Text(" " + Size(float64(s.Bytes)) + " of " + Size(float64(s.Limit)))},
			Ago(s.Oldest), Num(Count(float64(s.Skipped))),
		))
	}
	columns := []Column{{Title: "Signal"}, {Title: "Kept", Numeric: true}, {Title: "Memory"}, {Title: "Oldest"}, {Title: "Skipped", Numeric: true}}
	p.Body = append(p.Body,
		h.P(h.Class("dim"), g.Text("What has passed lately, from the memory of this process: "+Duration(v.MaxAge)+" at most, and as much as the limits allow. It is gone with a restart.")),
		Table("What is in the window", columns, rows...),
		h.P(h.Class("dim"), g.Text("Skipped items were not kept, because they came faster than they could be, because there was no room, or because they could not be read. They were delivered all the same.")))
	return p
}

// keptUnit is what is counted of a signal in the window.
func keptUnit(signal string) string {
	return map[string]string{"metrics": "series", "logs": "lines", "traces": "traces", "profiles": "profiles"}[signal]
}

// meter is a bar; share is from 0 to 1.
func meter(share float64, label string) g.Node {
	return h.Meter(h.Min("0"), h.Max("100"), h.Value(percent(share)), g.Attr("aria-label", label))
}

// exploreShell is a page of Explore. While the window is off, it says how to
// switch it on.
func (u *UI) exploreShell(tab, title string, enabled bool) Page {
	p := Page{Title: title, Section: "Explore", API: "/api/v1/explore"}
	if tab != "" {
		p.API += "/" + tab
	}
	var items []g.Node
	for _, name := range []string{"", "metrics", "logs", "traces", "profiles"} {
		path, text := "/explore", "Window"
		if name != "" {
			path, text = path+"/"+name, strings.ToUpper(name[:1])+name[1:]
		}
		items = append(items, h.Li(h.A(h.Href(u.href(path)), g.If(name == tab, g.Attr("aria-current", "true")), g.Text(text))))
	}
	p.Body = []g.Node{u.viewStyle(), h.Nav(g.Attr("aria-label", "Explore"), h.Ul(append([]g.Node{h.Class("tabs")}, items...)...))}
	if !enabled {
		p.Still = true
		p.Body = append(p.Body, Notice("info",
			g.Text("The Explore window is off, so nothing of what passes is kept. Start with "), h.Code(g.Text("--explore.memory=16MiB")),
			g.Text(" to keep up to 16 MiB of each signal in memory, for the time that "), h.Code(g.Text("--explore.age")), g.Text(" says. What passes right now is on the page "),
			h.A(h.Href(u.href("/live")), g.Text("Live")), g.Text(".")))
	}
	return p
}

// pairs reads the parameters label=name=value.
func pairs(values url.Values) map[string]string {
	out := map[string]string{}
	for _, pair := range values["label"] {
		if name, value, ok := strings.Cut(pair, "="); ok {
			out[strings.TrimSpace(name)] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return out
}

// with is a query with one parameter set; "" takes it out. What pages through
// the list before does not fit the one after.
func with(values url.Values, name, value string) string {
	out := cloned(values)
	out.Set(name, value)
	if value == "" {
		out.Del(name)
	}
	return "?" + out.Encode()
}

// withLabel is a query with one more label to be equal.
func withLabel(values url.Values, name, value string) string {
	out := cloned(values)
	if pair := name + "=" + value; !slices.Contains(out["label"], pair) {
		out.Add("label", pair)
	}
	return "?" + out.Encode()
}

func withoutLabel(values url.Values, pair string) string {
	out := cloned(values)
	out["label"] = slices.DeleteFunc(out["label"], func(p string) bool { return p == pair })
	return "?" + out.Encode()
}

func cloned(values url.Values) url.Values {
	out := url.Values{}
	for name, v := range values {
		if name != "before" && name != "page" && strings.Join(v, "") != "" {
			out[name] = slices.Clone(v)
		}
	}
	return out
}

// labelFilter is the labels that are asked for, each with a link that takes it
// away, and what a form has to send of them.
func (u *UI) labelFilter(path string, values url.Values) (links, fields g.Node) {
	var shown, hidden []g.Node
	for _, pair := range slices.Compact(slices.Sorted(slices.Values(values["label"]))) {
		if !strings.Contains(pair, "=") {
			continue
		}
		shown = append(shown, h.A(h.Class("label"), h.Href(u.href(path)+withoutLabel(values, pair)),
			g.Attr("aria-label", "Without "+pair), g.Text(Cut(pair, 200)+" ✕")), g.Text(" "))
		hidden = append(hidden, h.Input(h.Type("hidden"), h.Name("label"), h.Value(pair)))
	}
	if len(shown) > 0 {
		links = h.P(append([]g.Node{g.Text("Only: ")}, shown...)...)
	}
	return links, g.Group(hidden)
}

// queryField is an input of a form with its label.
func queryField(name, title, value, hint string) g.Node {
	return g.Group{h.Label(h.For(name), g.Text(title)), h.Input(h.ID(name), h.Name(name), h.Type("search"), h.Value(value), h.Placeholder(hint))}
}

// choice is a select of a form with its label. An option is its value, or
// value and text.
func choice(name, title, value string, options ...[2]string) g.Node {
	nodes := []g.Node{h.ID(name), h.Name(name)}
	for _, o := range options {
		nodes = append(nodes, h.Option(h.Value(o[0]), g.If(o[0] == value, h.Selected()), g.Text(cmp.Or(o[1], o[0]))))
	}
	return g.Group{h.Label(h.For(name), g.Text(title)), h.Select(nodes...)}
}

// queryForm is a form that asks for a page of Explore.
func (u *UI) queryForm(path string, fields ...g.Node) g.Node {
	nodes := []g.Node{h.Class("search"), h.Role("search"), h.Method("get"), h.Action(u.href(path))}
	return h.Form(append(append(nodes, fields...), h.Button(h.Type("submit"), h.Class("primary"), g.Text("Show")))...)
}

// spans of time that one may choose.
func rangeOptions() [][2]string {
	return [][2]string{{"", "all there is"}, {"1m", "last minute"}, {"5m", "last 5 minutes"}, {"15m", "last 15 minutes"}, {"1h", "last hour"}}
}

// timeSpan reads range, or since and until.
func timeSpan(values url.Values) (since, until time.Time) {
	if d, err := time.ParseDuration(values.Get("range")); err == nil && d > 0 {
		return time.Now().Add(-d), time.Time{}
	}
	since, _ = time.Parse(time.RFC3339Nano, values.Get("since")) // zero if there is none
	until, _ = time.Parse(time.RFC3339Nano, values.Get("until"))
	return since, until
}

// budget bounds the size of what a page shows of texts.
type budget int

// cut is s as far as at most n bytes of it, and the budget, allow.
func (b *budget) cut(s string, n int) string {
	s = Cut(s, min(n, max(int(*b), 80)))
	*b -= budget(len(s) + 40)
	return s
}

// left tells whether more may be shown.
func (b *budget) left() bool { return *b > 0 }
