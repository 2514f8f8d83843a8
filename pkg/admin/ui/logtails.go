package ui

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"collector/pkg/inspect"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// tailList is a page of the log tails.
type tailList struct {
	Paged[inspect.LogTail]
	Reading int `json:"reading"` // of all tails, whatever the filter
	Failing int `json:"failing"` // those with an error
}

func (u *UI) logTails() []inspect.LogTail {
	if u.options.Inventory == nil {
		return nil
	}
	return u.options.Inventory.LogTails()
}

// tailReading is the state of a tail that is all right.
const tailReading = "reading"

func (u *UI) tailsModel(r *http.Request) (tailList, error) {
	all := u.logTails()
	m := tailList{}
	for i := range all {
		if all[i].State == tailReading {
			m.Reading++
		}
		if all[i].Error != "" {
			m.Failing++
		}
	}
	l, state, component := ParseListing(r, "state"), r.URL.Query().Get("state"), r.URL.Query().Get("component")
	v := u.veil()
	m.Paged = Select(l, all, func(t inspect.LogTail) bool {
		return (state == "" || t.State == state || state == "failing" && t.Error != "") && (component == "" || t.Component == component) &&
			(l.Query == "" || l.Matches(t.Component, t.ID, t.Container, t.State, v.url(t.Error), tailText(v, &t)))
	}, compareTails)
	for i := range m.Items {
		m.Items[i] = shownTail(m.Items[i], v)
	}
	return m, nil
}

// shown is the tail without secrets.
func shownTail(t inspect.LogTail, v *veil) inspect.LogTail {
	t.Error = v.url(t.Error)
	streams := map[string]map[string]string{}
	for stream, labels := range t.Labels {
		streams[stream] = v.mapped(labels)
	}
	t.Labels = streams
	return t
}

func tailText(v *veil, t *inspect.LogTail) string {
	var b strings.Builder
	for _, labels := range t.Labels {
		for name, value := range labels {
			b.WriteString(name + "=" + v.shown(name, value) + "\x00")
		}
	}
	return b.String()
}

func compareTails(column string, a, b inspect.LogTail) int {
	first := 0
	switch column {
	case "state":
		first = cmp.Or(cmp.Compare(tailRank(&a), tailRank(&b)), strings.Compare(a.State, b.State))
	case "lag":
		first = cmp.Compare(a.LagSeconds, b.LagSeconds)
	case "lines":
		first = cmp.Compare(a.Lines, b.Lines)
	case "bytes":
		first = cmp.Compare(a.Bytes, b.Bytes)
	case "cursor":
		first = a.Cursor.Compare(b.Cursor)
	case "error":
		first = strings.Compare(a.Error, b.Error)
	}
	return cmp.Or(first, strings.Compare(a.Container, b.Container), strings.Compare(a.ID, b.ID), strings.Compare(a.Component, b.Component))
}

// tailRank puts what needs a look before what does not.
func tailRank(t *inspect.LogTail) int {
	switch {
	case t.Error != "":
		return 0
	case t.State != tailReading:
		return 1
	}
	return 2
}

func (u *UI) tailsPage(r *http.Request, m tailList) Page {
	l := ParseListing(r, "state")
	var rows []g.Node
	for i := range m.Items {
		t := &m.Items[i]
		kind := stateKind(t.State)
		if t.Error != "" {
			kind = "bad"
		}
		rows = append(rows, Row(
			g.Group{g.Text(Cut(t.Container, 100)), h.Br(), h.Span(h.Class("dim id"), g.Text(t.ID[:min(12, len(t.ID))]))},
			Badge(kind, t.State),
			tailLabels(t),
			h.Span(h.Class("n"), g.Text(lagText(t.LagSeconds))),
			h.Span(h.Class("n"), g.Text(Count(float64(t.Lines)))),
			h.Span(h.Class("n"), g.Text(Size(float64(t.Bytes)))),
			Ago(t.Cursor),
			errorCell(t.Error),
		))
	}
	columns := []Column{
		{Title: "Container", Sort: "container"}, {Title: "State", Sort: "state"}, {Title: "Labels"}, {Title: "Lag", Numeric: true, Sort: "lag"},
		{Title: "Lines", Numeric: true, Sort: "lines"}, {Title: "Bytes", Numeric: true, Sort: "bytes"},
		{Title: "Cursor (newest line)", Sort: "cursor"}, {Title: "Error", Sort: "error"},
	}
	body := []g.Node{
		u.targetTabs("/targets/logs"),
		h.P(Badge("good", Count(float64(m.Reading))+" being read"), g.Text(" "), Badge(badIf(m.Failing), Count(float64(m.Failing))+" with an error")),
		u.SearchForm(l, "Filter tails", stateSelect(r, tailReading, "failing", "waiting to connect", "ended"), keepField(r, "component")),
	}
	if len(m.Items) == 0 {
		body = append(body, Empty("No container's output is read that is as you ask."))
	} else {
		body = append(body, u.SortedTable(l, "Log tails", columns, rows...), u.Pager(l, m.Page, m.Pages, m.Total))
	}
	return Page{Title: "Log tails", Section: "Targets", API: "/api/v1/targets/logs", Body: body}
}

// tailLabels are those of the first stream that is kept, as the streams differ
// in little.
func tailLabels(t *inspect.LogTail) g.Node {
	for _, stream := range sortedKeys(t.Labels) {
		if len(t.Labels[stream]) > 0 {
			return fewLabels(t.Labels[stream])
		}
	}
	return h.Span(h.Class("dim"), g.Text("dropped by a rule"))
}

func lagText(s float64) string {
	if s <= 0 {
		return "none"
	}
	return Duration(time.Duration(s * float64(time.Second)))
}
