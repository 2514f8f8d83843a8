package stages

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/admin/ui/page"
	"collector/pkg/inspect"
)

// Trace is what the stages of a component do to log lines.
type Trace struct {
	Component string          `json:"component"`
	Stages    []inspect.Stage `json:"stages"`
	// Recent are some of the last lines that came in, the newest first.
	Recent []Recent `json:"recent"`
	// Input is the lines that went through the stages; Entries are these, and what
	// stages made of them, each with what every stage did.
	Input   []Entry  `json:"input"`
	Entries []Traced `json:"entries"`
	Output  []Entry  `json:"output"`
	Cut     bool     `json:"cut,omitempty"` // there is more than is listed
	Error   string   `json:"error,omitempty"`

	chosen uint64 // the recent line that Input is; 0 for others
	whole  bool   // it is a single line, even with line feeds
}

// Entry is a log line.
type Entry struct {
	Name     string            `json:"name"` // "2" for the second, "1+2" for what was made of two
	Line     string            `json:"line"`
	Time     time.Time         `json:"time"`
	Labels   map[string]string `json:"labels"`
	Metadata map[string]string `json:"metadata"`
	Tenant   string            `json:"tenant,omitempty"`
	Cut      bool              `json:"cut,omitempty"` // the line is longer
}

// Recent is a line that came in, and its outcome.
type Recent struct {
	ID string `json:"id"`
	Entry
	Came    time.Time `json:"came"`
	Outcome string    `json:"outcome"`
	Verdict string    `json:"verdict"`
}

// Traced is an entry with what each stage did to it.
type Traced struct {
	Name    string `json:"name"`
	Outcome string `json:"outcome"` // passed, dropped or held
	Verdict string `json:"verdict"` // the same in words
	Steps   []Step `json:"steps"`
}

// Step is what one stage did.
type Step struct {
	Number  int                   `json:"number"` // of the stage, from 1
	Stage   string                `json:"stage"`
	Depth   int                   `json:"depth"`
	File    string                `json:"file,omitempty"`
	Line    int                   `json:"line,omitempty"`
	Outcome string                `json:"outcome"`          // passed, dropped, held, released, entered or skipped
	Reason  string                `json:"reason,omitempty"` // of loki_process_dropped_lines_total
	Words   string                `json:"words,omitempty"`
	Failed  bool                  `json:"failed,omitempty"`
	As      string                `json:"as,omitempty"` // what the entry is called from here on
	Changes []inspect.StageChange `json:"changes"`
	Metrics []inspect.StageMetric `json:"metrics,omitempty"`
}

// find is the stages of the component that is asked for.
func (p *Page) find(r *http.Request) (inspect.Stages, error) {
	id := r.PathValue("component")
	for _, s := range p.Inventory.Stages() {
		if s.Component == id {
			return s, nil
		}
	}
	return inspect.Stages{}, page.NotFound(fmt.Sprintf("The running configuration has no component %q with stages.", id))
}

// recentModel traces a recent line: the newest, or the one requested.
func (p *Page) recentModel(r *http.Request) (Trace, error) {
	of, err := p.find(r)
	if err != nil {
		return Trace{}, err
	}
	samples := of.Recent()
	m := p.begin(r.Context(), &of, samples)
	if len(samples) == 0 {
		return m, nil
	}
	chosen := samples[0]
	if id := r.URL.Query().Get("entry"); id != "" {
		at := slices.IndexFunc(samples, func(s inspect.LogSample) bool { return strconv.FormatUint(s.ID, 10) == id })
		if at < 0 {
			return m, page.NotFound("This line is no longer kept: only the last ones are. The page of the component lists them.")
		}
		chosen = samples[at]
	}
	m.chosen, m.whole = chosen.ID, true
	p.run(r.Context(), &m, &of, []inspect.StagedEntry{stagedSample(&chosen)})
	if len(m.Input) > 0 {
		m.Input[0].Cut = chosen.Cut
	}
	return m, nil
}

func stagedSample(s *inspect.LogSample) inspect.StagedEntry {
	return inspect.StagedEntry{Labels: s.Labels, Entry: s.Entry}
}

// givenModel traces lines that come with the request.
func (p *Page) givenModel(r *http.Request) (Trace, error) {
	of, err := p.find(r)
	if err != nil {
		return Trace{}, err
	}
	v, err := readGiven(r)
	if err != nil {
		return Trace{}, err
	}
	m := p.begin(r.Context(), &of, of.Recent())
	m.whole = len(v.Lines) == 1 && r.PostForm.Get("whole") != ""
	p.run(r.Context(), &m, &of, v.entries())
	return m, nil
}

// begin lists the stages and the last lines. Each line is traced, as a stage may say what
// in it is secret.
func (p *Page) begin(ctx context.Context, of *inspect.Stages, samples []inspect.LogSample) Trace {
	m := Trace{Component: of.Component, Stages: append([]inspect.Stage{}, of.List...), Recent: []Recent{}, Input: []Entry{}, Entries: []Traced{}, Output: []Entry{}}
	for i := range samples {
		var one Trace
		one.Stages = of.List
		p.run(ctx, &one, of, []inspect.StagedEntry{stagedSample(&samples[i])})
		if one.Error != "" || len(one.Input) == 0 {
			continue
		}
		r := Recent{ID: strconv.FormatUint(samples[i].ID, 10), Entry: one.Input[0], Came: samples[i].Came, Outcome: inspect.StagePassed, Verdict: "passes"}
		r.Name, r.Cut = "", samples[i].Cut
		if len(one.Entries) > 0 {
			r.Outcome, r.Verdict = one.Entries[0].Outcome, one.Entries[0].Verdict
		}
		m.Recent = append(m.Recent, r)
	}
	return m
}

// run takes entries through the stages.
func (p *Page) run(ctx context.Context, m *Trace, of *inspect.Stages, in []inspect.StagedEntry) {
	t, err := of.Trace(ctx, in)
	for i := range in {
		in[i].Name = strconv.Itoa(i + 1)
	}
	v := p.redaction(in, &t)
	if err != nil {
		m.Error = v.text(err.Error())
		return
	}
	m.Cut = t.Cut
	m.Input, m.Output = []Entry{}, []Entry{}
	for i := range in {
		m.Input = append(m.Input, v.entry(&in[i]))
	}
	for i := range t.Output {
		m.Output = append(m.Output, v.entry(&t.Output[i]))
	}
	m.Entries = grouped(m.Stages, &t, v)
	if len(of.List) == 0 {
		for i := range in {
			m.Entries = append(m.Entries, Traced{Name: in[i].Name, Outcome: inspect.StagePassed, Verdict: "passes: there are no stages", Steps: []Step{}})
		}
	}
}

// grouped is the steps by entry, in the order in which the entries appear.
func grouped(stages []inspect.Stage, t *inspect.StageTrace, v *redaction) []Traced {
	out := []Traced{}
	index := map[string]int{}
	group := func(name string) *Traced {
		i, ok := index[name]
		if !ok {
			i = len(out)
			index[name] = i
			out = append(out, Traced{Name: name, Outcome: inspect.StagePassed, Verdict: "passes", Steps: []Step{}})
		}
		return &out[i]
	}
	for i := range t.Steps {
		s := &t.Steps[i]
		stage := stages[s.Stage]
		step := Step{
			Number: s.Stage + 1, Stage: stage.Name, Depth: stage.Depth, File: stage.File, Line: stage.Line, Outcome: s.Outcome, Reason: s.Reason,
			Words: brief(v.text(s.Words)), Failed: s.Failed, As: s.As, Changes: v.changes(s.Changes), Metrics: v.metrics(s.Metrics),
		}
		e := group(s.Entry)
		e.Steps = append(e.Steps, step)
		where := fmt.Sprintf("stage %d, %s", step.Number, step.Stage)
		switch {
		case s.Outcome == inspect.StageDropped:
			e.Outcome, e.Verdict = s.Outcome, "dropped by "+where
			if s.Reason != "" {
				e.Verdict += " (reason: " + s.Reason + ")"
			}
		case s.Outcome == inspect.StageReleased:
			e.Outcome, e.Verdict = inspect.StagePassed, "passes"
		case s.Outcome == inspect.StageHeld:
			e.Outcome, e.Verdict = s.Outcome, "held by "+where
		case s.As != "":
			e.Verdict = "goes on as " + s.As + " after " + where
		}
	}
	joined(out)
	return out
}

// quotes are what a stage says that a value is.
var quotes = regexp.MustCompile(`“[^”]*”`)

// brief is what a stage says, without secrets, with what it quotes cut.
func brief(words string) string {
	const mark, most = len("“"), 200
	words = quotes.ReplaceAllStringFunc(words, func(q string) string { return "“" + page.Cut(q[mark:len(q)-mark], most) + "”" })
	return page.Cut(words, page.MaxString)
}

// joined says which entries those that were held became part of.
func joined(all []Traced) {
	for i := range all {
		if all[i].Outcome != inspect.StageHeld {
			continue
		}
		for j := range all {
			if all[j].Name != all[i].Name && slices.Contains(parts(all[j].Name), all[i].Name) {
				all[i].Verdict += ", goes on as " + all[j].Name
				break
			}
		}
	}
}

func sorted(all map[string]string) []string { return slices.Sorted(maps.Keys(all)) }

// titleOf names an entry.
func titleOf(name string, all []Traced) string {
	switch {
	case len(all) == 1:
		return "What the stages do"
	case len(parts(name)) > 1:
		return "Lines " + name
	}
	return "Line " + cmp.Or(name, "?")
}

// tenantLabel is the label by which an entry chooses its tenant.
const tenantLabel = "__tenant_id__"

func tenantOf(l labels.Labels) string { return l.Get(tenantLabel) }
