package window

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
)

// Labels reads the parameters label=name=value.
func Labels(values url.Values) map[string]string {
	out := map[string]string{}
	for _, pair := range values["label"] {
		if name, value, ok := strings.Cut(pair, "="); ok {
			out[strings.TrimSpace(name)] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return out
}

// Notes names each filter of a query that is unknown or can't be understood.
func Notes(values url.Values, known page.Filters) []string {
	notes := known.Notes(values)
	for _, pair := range values["label"] {
		if pair != "" && !strings.Contains(pair, "=") {
			notes = append(notes, "The filter label="+page.Cut(pair, 100)+" is ignored: write it as name=value.")
		}
	}
	for _, name := range []string{"min", "range"} {
		if text := values.Get(name); text != "" {
			if _, err := time.ParseDuration(text); err != nil {
				notes = append(notes, "The filter "+name+"="+page.Cut(text, 100)+" is ignored: write a time such as 100ms or 5m.")
			}
		}
	}
	for _, name := range []string{"since", "until"} {
		if text := values.Get(name); text != "" {
			if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
				notes = append(notes, "The filter "+name+"="+page.Cut(text, 100)+" is ignored: write a time such as 2026-01-02T15:04:05Z.")
			}
		}
	}
	if text := values.Get("limit"); text != "" {
		if n, err := strconv.Atoi(text); err != nil || n < 0 {
			notes = append(notes, "The filter limit="+page.Cut(text, 100)+" is ignored: write a number.")
		}
	}
	return notes
}

// Unmatched says which of the label filters match nothing by themselves, once all
// together have matched nothing. found reports whether one matches.
func Unmatched(labels map[string]string, what string, found func(label map[string]string) bool) []string {
	var notes []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if !found(map[string]string{name: labels[name]}) {
			notes = append(notes, "No "+what+" in the window has the label "+page.Cut(name, 60)+"="+page.Cut(labels[name], 100)+".")
		}
	}
	return notes
}

// With is a query with one parameter set; "" removes it. Parameters that page
// through the list are dropped.
func With(values url.Values, name, value string) string {
	out := cloned(values)
	out.Set(name, value)
	if value == "" {
		out.Del(name)
	}
	return "?" + out.Encode()
}

// WithLabel is a query with one more label filter.
func WithLabel(values url.Values, name, value string) string {
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

// LabelFilter shows the label filters, each with a link that removes it, and the form
// fields that keep them.
func LabelFilter(site *page.Site, path string, values url.Values) (links, fields g.Node) {
	var shown, hidden []g.Node
	for _, pair := range slices.Compact(slices.Sorted(slices.Values(values["label"]))) {
		if !strings.Contains(pair, "=") {
			continue
		}
		shown = append(shown, h.A(h.Class("label"), h.Href(site.Href(path)+withoutLabel(values, pair)),
			g.Attr("aria-label", "Remove the filter "+pair), g.Text(page.Cut(pair, 200)+" ✕")), g.Text(" "))
		hidden = append(hidden, h.Input(h.Type("hidden"), h.Name("label"), h.Value(pair)))
	}
	if len(shown) > 0 {
		links = h.P(append([]g.Node{g.Text("Only: ")}, shown...)...)
	}
	return links, g.Group(hidden)
}

// Field is an input of a form with its label.
func Field(name, title, value, hint string) g.Node {
	return g.Group{h.Label(h.For(name), g.Text(title)), h.Input(h.ID(name), h.Name(name), h.Type("search"), h.Value(value), h.Placeholder(hint))}
}

// Choice is a select of a form with its label. An option is its value, or
// value and text.
func Choice(name, title, value string, options ...[2]string) g.Node {
	nodes := []g.Node{h.ID(name), h.Name(name)}
	for _, o := range options {
		nodes = append(nodes, h.Option(h.Value(o[0]), g.If(o[0] == value, h.Selected()), g.Text(cmp.Or(o[1], o[0]))))
	}
	return g.Group{h.Label(h.For(name), g.Text(title)), h.Select(nodes...)}
}

// Form is the query form of a page of Explore.
func Form(site *page.Site, path string, fields ...g.Node) g.Node {
	nodes := []g.Node{h.Class("search"), h.Role("search"), h.Method("get"), h.Action(site.Href(path))}
	return h.Form(append(append(nodes, fields...), h.Button(h.Type("submit"), h.Class("primary"), g.Text("Show")))...)
}

// Ranges are the options for a time range.
func Ranges() [][2]string {
	return [][2]string{{"", "All"}, {"1m", "last minute"}, {"5m", "last 5 minutes"}, {"15m", "last 15 minutes"}, {"1h", "last hour"}}
}

// TimeSpan reads range, or since and until.
func TimeSpan(values url.Values) (since, until time.Time) {
	if d, err := time.ParseDuration(values.Get("range")); err == nil && d > 0 {
		return time.Now().Add(-d), time.Time{}
	}
	since, _ = time.Parse(time.RFC3339Nano, values.Get("since")) // zero if there is none
	until, _ = time.Parse(time.RFC3339Nano, values.Get("until"))
	return since, until
}
