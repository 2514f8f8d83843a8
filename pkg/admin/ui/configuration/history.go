package configuration

import (
	"strconv"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
	"collector/pkg/config"
	"collector/pkg/graph"
)

// onDisk is how the files differ from what runs.
type onDisk struct {
	Differs bool              `json:"differs"`
	Error   string            `json:"error,omitempty"` // why they cannot be read
	Files   []config.FileDiff `json:"files"`
}

// onDisk is nil if the configuration is from no file.
func (p *Page) onDisk() *onDisk {
	if p.OnDisk == nil {
		return nil
	}
	files, err := p.OnDisk()
	d := &onDisk{Differs: len(files) > 0 || err != nil, Files: append([]config.FileDiff{}, files...)}
	if err != nil {
		d.Error = err.Error()
	}
	return d
}

func onDiskNotice(d *onDisk) g.Node {
	switch {
	case d == nil || !d.Differs:
		return nil
	case d.Error != "":
		return page.Notice("warn", g.Text("The configuration on disk cannot be read: "+page.Cut(d.Error, 300)+". The running configuration is unchanged. "), h.Strong(g.Text("A restart would fail: restore the file.")))
	}
	return page.Notice("warn", g.Text("The configuration on disk differs from the running one. "), h.Strong(g.Text("Reload to apply the changes. ")),
		h.Details(h.ID("on-disk"), h.Summary(g.Text(changesOf(d.Files))), diffNode(d.Files)))
}

// changesOf counts what differs.
func changesOf(files []config.FileDiff) string {
	added, removed := 0, 0
	for _, f := range files {
		added, removed = added+f.Added, removed+f.Removed
	}
	if len(files) == 0 {
		return "no changes"
	}
	return page.Many(len(files), "file") + ": +" + page.Count(float64(added)) + " −" + page.Count(float64(removed)) + " lines"
}

// diffNode is the lines that differ, without secrets.
func diffNode(files []config.FileDiff) g.Node {
	var nodes []g.Node
	for _, f := range files {
		rows := []g.Node{}
		next := config.DiffLine{Old: 1, New: 1}
		for _, l := range f.Lines {
			if l.Old > next.Old && l.Kind != "+" || l.New > next.New && l.Kind != "-" {
				rows = append(rows, h.Div(h.Class("line gap"), g.Text("⋯")))
			}
			rows = append(rows, diffLine(l))
			if l.Old > 0 {
				next.Old = l.Old + 1
			}
			if l.New > 0 {
				next.New = l.New + 1
			}
		}
		if f.More > 0 {
			rows = append(rows, h.Div(h.Class("line gap"), g.Textf("%d more lines", f.More)))
		}
		title := f.Name
		if f.Change != "changed" {
			title += " (" + f.Change + ")"
		}
		nodes = append(nodes, h.P(h.Code(g.Text(page.Cut(title, 300)))),
			h.Div(h.Class("scroll source diff"), h.Role("region"), h.TabIndex("0"), g.Attr("aria-label", "Changes of "+f.Name), g.Group(rows)))
	}
	return g.Group(nodes)
}

func diffLine(l config.DiffLine) g.Node {
	class, sign, number := "line", " ", l.New
	switch l.Kind {
	case "+":
		class, sign = "line added", "+"
	case "-":
		class, sign, number = "line removed", "−", l.Old
	}
	return h.Div(h.Class(class), h.Span(h.Class("no"), g.Text(strconv.Itoa(number))), g.Text(sign+" "+l.Text))
}

// historySection is the last loads.
func (p *Page) historySection(loads []graph.Loading) g.Node {
	if len(loads) == 0 {
		return nil
	}
	var rows []g.Node
	for _, l := range loads {
		result := page.Badge("good", "loaded")
		if l.Error != "" {
			result = page.Badge("bad", "failed")
		}
		times := ""
		if l.Times > 1 {
			times = " (" + page.Count(float64(l.Times)) + " times in a row)"
		}
		rows = append(rows, page.Row(page.Ago(l.At), g.Text(by(&l)+times), result, p.loadDetails(&l)))
	}
	return page.Section("history", "History", h.P(h.Class("dim"), g.Textf("The last %d loads, newest first. Components that no change affects keep running.", len(loads))),
		page.Table("The last loads", []page.Column{{Title: "When"}, {Title: "By"}, {Title: "Result"}, {Title: "Changes"}}, rows...))
}

func by(l *graph.Loading) string {
	if l.Module != "" && l.By != l.Module {
		return l.Module + ": " + l.By
	}
	return l.By
}

// maxListed is how many components a row lists of each kind.
const maxListed = 20

func (p *Page) loadDetails(l *graph.Loading) g.Node {
	nodes := []g.Node{}
	if l.Error != "" {
		line, _, _ := strings.Cut(strings.TrimSpace(l.Error), "\n")
		nodes = append(nodes, h.Div(h.Span(h.Class("error"), g.Text(page.Cut(line, 300)))))
	}
	list := func(word string, ids []string, link bool) {
		if len(ids) == 0 {
			return
		}
		items := []g.Node{g.Text(word + ": ")}
		for i, id := range ids[:min(len(ids), maxListed)] {
			if i > 0 {
				items = append(items, g.Text(", "))
			}
			if link {
				items = append(items, p.Site.ComponentLink(id))
			} else {
				items = append(items, h.Span(h.Class("id"), g.Text(page.Cut(id, 200))))
			}
		}
		if more := len(ids) - maxListed; more > 0 {
			items = append(items, g.Textf(" and %d more", more))
		}
		nodes = append(nodes, h.Div(items...))
	}
	list("added", l.Added, true)
	list("rebuilt", l.Rebuilt, true)
	list("removed", l.Removed, false)
	if l.Kept > 0 || len(nodes) == 0 {
		nodes = append(nodes, h.Div(h.Class("dim"), g.Text(page.Many(l.Kept, "component")+" unchanged")))
	}
	if len(l.Files) > 0 {
		nodes = append(nodes, h.Details(h.Summary(g.Text(changesOf(l.Files))), diffNode(l.Files)))
	}
	return g.Group(nodes)
}
