package ui

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/explore"
)

// logsView is log lines in the window.
type logsView struct {
	Enabled bool `json:"enabled"`
	explore.LogResult
}

func (u *UI) logsModel(r *http.Request) (v logsView, err error) {
	v.Entries = []explore.Entry{}
	w := u.options.Explore
	if w == nil {
		return v, nil
	}
	values := r.URL.Query()
	q := explore.LogQuery{Text: values.Get("q"), Level: values.Get("level"), Labels: pairs(values), TraceID: strings.TrimSpace(values.Get("trace"))}
	q.Limit, _ = strconv.Atoi(values.Get("limit"))                // 0 for the usual one
	q.Before, _ = strconv.ParseUint(values.Get("before"), 10, 64) // 0 for the newest
	v.Enabled = true
	v.LogResult, err = w.Logs(r.Context(), q)
	return v, err
}

// textBudget is how many bytes of texts from outside a page shows.
const textBudget = 120 << 10

// maxLine is how much of a log line is shown at once.
const maxLine = 2000

func (u *UI) logsPage(r *http.Request, v logsView) Page {
	p := u.exploreShell("logs", "Logs", v.Enabled)
	if !v.Enabled {
		return p
	}
	if len(v.Entries) > perPage {
		v.Entries = v.Entries[:perPage]
		v.Before = v.Entries[perPage-1].ID
	}
	values := r.URL.Query()
	p.Still = values.Get("before") != ""
	links, hidden := u.labelFilter("/explore/logs", values)
	levels := [][2]string{{"", "any"}, {"error"}, {"warn"}, {"info"}, {"debug"}, {"trace"}}
	p.Body = append(p.Body, u.queryForm("/explore/logs",
		queryField("q", "Text", values.Get("q"), "part of the line"),
		choice("level", "Level", values.Get("level"), levels...),
		queryField("label", "Label", "", "name=value"),
		queryField("trace", "Trace", values.Get("trace"), "id"), hidden), links)
	if len(v.Entries) == 0 {
		text := "No line in the window matches."
		if v.Before != 0 {
			text = "No line matches so far."
		}
		p.Body = append(p.Body, Empty(text))
	} else {
		p.Body = append(p.Body, u.logTable(v.Entries, values))
	}
	if v.Before != 0 {
		p.Body = append(p.Body, h.Nav(h.Class("pager"), g.Attr("aria-label", "Pages of the list"),
			h.A(h.Rel("next"), h.Href(u.href("/explore/logs")+with(values, "before", strconv.FormatUint(v.Before, 10))), g.Text("Older →"))))
	}
	return p
}

func (u *UI) logTable(entries []explore.Entry, values url.Values) g.Node {
	left := budget(textBudget)
	var rows []g.Node
	for _, e := range entries {
		line := []g.Node{h.Code(g.Text(left.cut(e.Line, maxLine)))}
		if e.TraceID != "" {
			line = append(line, g.Text(" "), h.A(h.Href(u.wholeTraceHref(e.TraceID)), g.Text("trace"), h.Span(h.Class("sr"), g.Text(" "+Cut(e.TraceID, 32)))))
		}
		rows = append(rows, Row(clock(e.Time), levelBadge(e.Level), g.Group(line), u.entryLabels(e, values, &left)))
	}
	return h.Div(h.Class("lines"), Table("Log lines, the newest first", []Column{{Title: "Time"}, {Title: "Level"}, {Title: "Line"}, {Title: "Labels"}}, rows...))
}

// maxPairs is how many labels are shown of one item.
const maxPairs = 20

// entryLabels is the labels of a line's stream, which can be asked for by a
// click, and its metadata.
func (u *UI) entryLabels(e explore.Entry, values url.Values, left *budget) g.Node {
	if !left.left() {
		return h.Span(h.Class("dim"), g.Text("see the JSON"))
	}
	var stream, metadata []g.Node
	e.Labels.Range(func(l labels.Label) {
		if len(stream) >= 2*maxPairs || !left.left() {
			return
		}
		target := u.href("/explore/logs") + withLabel(values, l.Name, l.Value)
		if len(target) > 400 {
			stream = append(stream, labelMark(l.Name, l.Value, left), g.Text(" "))
			return
		}
		*left -= budget(len(target))
		stream = append(stream, h.A(h.Class("label"), h.Href(target), g.Text(left.cut(l.Name, 60)+"="+left.cut(l.Value, 100))), g.Text(" "))
	})
	e.Metadata.Range(func(l labels.Label) {
		if len(metadata) < 2*maxPairs && left.left() {
			metadata = append(metadata, labelMark(l.Name, l.Value, left), g.Text(" "))
		}
	})
	all := g.Group{g.Group(stream), g.Group(metadata)}
	if len(stream)+len(metadata) <= 6 {
		return all
	}
	return h.Details(h.Summary(g.Textf("%d labels", (len(stream)+len(metadata))/2)), all)
}

func labelMark(name, value string, left *budget) g.Node {
	return h.Span(h.Class("label"), g.Text(left.cut(name, 60)+"="+left.cut(value, 200)))
}

// attributeFacts is attributes by their names.
func attributeFacts(attributes map[string]string, left *budget) g.Node {
	var facts []g.Node
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		if !left.left() {
			facts = append(facts, Fact("…", g.Text("more is in the JSON")))
			break
		}
		facts = append(facts, Fact(left.cut(name, 100), h.Code(g.Text(left.cut(attributes[name], 1000)))))
	}
	return Facts(facts...)
}

// levelBadge is a log level with a shape of its own.
func levelBadge(level string) g.Node {
	switch level {
	case "":
		return nil
	case "error":
		return Badge("bad", level)
	case "warn":
		return Badge("warn", level)
	}
	return h.Span(h.Class("dim"), g.Text(Cut(level, 20)))
}
