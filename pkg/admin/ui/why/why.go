// Package why is the page that answers what people ask of a container, a service, a
// target, a destination or a component: whether data flows, how far behind it is, where
// it stops, and why. The command `collector why` prints the same.
package why

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/admin/ui/flow"
	"collector/pkg/admin/ui/page"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/graph"
	"collector/pkg/inspect"
	"collector/pkg/listen"
)

// Page is the answers.
type Page struct {
	Site      *page.Site
	Redactor  *redact.Redactor
	Source    Source
	Inventory Inventory
	// Overview is what the first page shows, as JSON has it.
	Overview func(*http.Request) (any, error)
	// Target and Tail are what the pages of targets and tails show of one.
	Target func(*inspect.ScrapeTarget) any
	Tail   func(*inspect.LogTail) inspect.LogTail
	// Explain is what rules make of the inputs that match, in the order in which the
	// components are built.
	Explain func(matches func(labels.Labels) bool) []Rules
	// Logs reports whether there is a page of log lines.
	Logs bool
}

// Source is where the page reads.
type Source interface {
	Summary() graph.Snapshot
	Component(id string) (graph.ComponentInfo, bool)
	ComponentMetrics(id string) []*dto.MetricFamily
	History() []graph.Loading
}

// Inventory is what is collected.
type Inventory interface {
	ScrapeTargets() []inspect.ScrapeTarget
	LogTails() []inspect.LogTail
	Receivers() []listen.Received
	Containers() []inspect.Container
	Lives() []inspect.Life
	Unlisted() map[string]string
}

// Rules is what the rules of one component make of one input.
type Rules struct {
	Component string
	Stream    string // of logs
	Kept      bool
	Targets   bool // the outputs are targets
	Verdict   string
	Origins   []Origin
	Onward    []inspect.Onward
	Path      string // of the page with each step
}

// Origin is where a label comes from.
type Origin struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"` // in words
}

// Routes are the paths of the page.
func (p *Page) Routes() []page.Route {
	return page.Both("GET /why", "GET /api/v1/why", p.model, p.view)
}

// Answers is what is known about the subjects of a query.
type Answers struct {
	Query    string    `json:"query"`
	Subjects []Subject `json:"subjects"`
	// More is how many others match.
	More int `json:"more,omitempty"`

	names []string // to choose from, if nothing is asked for
}

// Subject is something that the query names.
type Subject struct {
	What    string   `json:"what"` // container, target, receiver, destination or component
	Name    string   `json:"name"`
	Of      string   `json:"of,omitempty"` // the service, or the component
	Kind    string   `json:"kind"`         // good, warn, bad or info: the worst of its answers
	Answers []Answer `json:"answers"`

	path string // its own page, if it has one
}

// Answer is the answer to one question.
type Answer struct {
	Question string   `json:"question"` // flowing, behind, stops, scraped, labels, dropped or changed
	Title    string   `json:"title"`
	Kind     string   `json:"kind"` // the worst of its texts
	Texts    []Text   `json:"texts"`
	Fix      string   `json:"fix,omitempty"`
	Labels   []Origin `json:"labels,omitempty"`
	Links    []Link   `json:"links,omitempty"`
}

// Text is a sentence of an answer.
type Text struct {
	Kind string `json:"kind"` // good, warn, bad or info
	Text string `json:"text"`
}

// Link leads to a page that shows more.
type Link struct {
	Path string `json:"path"` // without the prefix
	Text string `json:"text"`
}

// The questions, in their order.
const (
	flowing = "flowing"
	behind  = "behind"
	stops   = "stops"
	scraped = "scraped"
	origins = "labels"
	dropped = "dropped"
	changed = "changed"
)

func titleOfQuestion(question string) string {
	return map[string]string{
		flowing: "Is it flowing?", behind: "How far behind is it?", stops: "Where does it stop?", scraped: "Is it collected, and if not, why?",
		origins: "Which labels does it have, and from which rule?", dropped: "Is data dropped, and why?", changed: "What changed?",
	}[question]
}

// maxSubjects is how many subjects are answered for at once.
const maxSubjects = 10

// destination is a destination as the API gives it.
type destination struct{ flow.Destination }

// trouble is a problem as the API gives it.
type trouble struct {
	Kind      string `json:"kind"`
	Component string `json:"component"`
	Message   string `json:"message"`
	Fix       string `json:"mend"`
}

// target is a target as the API gives it.
type target struct {
	Component  string            `json:"component"`
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Job        string            `json:"job"`
	URL        string            `json:"url"`
	Profile    string            `json:"profile"` // the kind of profile; empty: it is metrics
	State      string            `json:"state"`
	Labels     map[string]string `json:"labels"`
	LastScrape time.Time         `json:"lastScrape"`
	Samples    int               `json:"samples"`
	Interval   string            `json:"scrapeInterval"`
	Error      string            `json:"error"`
	Cause      string            `json:"cause"` // in words, if it is known
	Fix        string            `json:"fix"`
}

// as reads v as JSON has it.
func as[T any](v any) (out T, err error) {
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	return out, err
}

// situation is a snapshot of everything that the answers are based on.
type situation struct {
	page         *Page
	now          time.Time
	redaction    *redact.Redaction
	targets      []inspect.ScrapeTarget
	tails        []inspect.LogTail
	receivers    []listen.Received
	containers   []inspect.Container
	lives        []inspect.Life
	unlisted     map[string]string
	components   map[string]graph.ComponentInfo
	destinations []destination
	problems     []trouble
	history      []graph.Loading
}

func (p *Page) situation(r *http.Request) (*situation, error) {
	v, err := p.Overview(r)
	if err != nil {
		return nil, err
	}
	o, err := as[struct {
		Destinations []destination `json:"destinations"`
		Problems     []trouble     `json:"problems"`
	}](v)
	if err != nil {
		return nil, err
	}
	s := &situation{
		page: p, now: time.Now(), redaction: p.Redactor.Current(), targets: p.Inventory.ScrapeTargets(), tails: p.Inventory.LogTails(), receivers: p.Inventory.Receivers(),
		containers: p.Inventory.Containers(), lives: p.Inventory.Lives(), unlisted: p.Inventory.Unlisted(),
		components: map[string]graph.ComponentInfo{}, destinations: o.Destinations, problems: o.Problems, history: p.Source.History(),
	}
	for _, c := range p.Source.Summary().Components {
		s.components[c.ID] = c
	}
	return s, nil
}

func (p *Page) model(r *http.Request) (Answers, error) {
	m := Answers{Query: strings.TrimSpace(r.URL.Query().Get("q")), Subjects: []Subject{}}
	s, err := p.situation(r)
	if err != nil {
		return m, err
	}
	if m.Query == "" {
		m.names = s.names()
		return m, nil
	}
	found := s.find(m.Query)
	if len(found) == 0 {
		return m, s.unknown(m.Query)
	}
	for i, answer := range found {
		if i == maxSubjects {
			m.More = len(found) - i
			break
		}
		subject := answer()
		for j := range subject.Answers {
			a := &subject.Answers[j]
			if a.Title = titleOfQuestion(a.Question); rank(a.Kind) < rank(subject.Kind) {
				subject.Kind = a.Kind
			}
		}
		m.Subjects = append(m.Subjects, subject)
	}
	return m, nil
}

// rank orders kinds, the worst first.
func rank(kind string) int {
	switch kind {
	case "bad":
		return 0
	case "warn":
		return 1
	case "good":
		return 2
	}
	return 3
}
