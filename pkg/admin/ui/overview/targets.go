package overview

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"collector/pkg/admin/ui/page"
	"collector/pkg/cause"
	"collector/pkg/inspect"
)

// failure is why targets of one component fail.
type failure struct {
	component string
	kind      cause.Kind
}

// targetProblems lists the targets that are down, by component and cause.
func (s *situation) targetProblems() (out []problem) {
	all, failing := map[string]int{}, map[failure][]*inspect.ScrapeTarget{}
	for i := range s.targets {
		t := &s.targets[i]
		all[t.Component]++
		if t.State == "down" {
			f := failure{t.Component, t.Cause.Kind}
			failing[f] = append(failing[f], t)
		}
	}
	order := slices.SortedFunc(maps.Keys(failing), func(a, b failure) int {
		return cmp.Or(strings.Compare(a.component, b.component), len(failing[b])-len(failing[a]), strings.Compare(string(a.kind), string(b.kind)))
	})
	for _, f := range order {
		some := failing[f]
		slices.SortFunc(some, func(a, b *inspect.ScrapeTarget) int {
			return cmp.Or(strings.Compare(s.redaction.NameOf(a.Discovered), s.redaction.NameOf(b.Discovered)), strings.Compare(a.URL, b.URL))
		})
		first := some[0]
		why, fix := cmp.Or(first.Cause.Text, firstLine(first.Error)), first.Cause.Fix
		message := fmt.Sprintf("%s: 1 of %d targets down. %s", f.component, all[f.component], s.redaction.URL(why))
		if len(some) > 1 {
			message = fmt.Sprintf("%s: %d of %d targets down, %s: %s. For example: %s", f.component, len(some), all[f.component],
				f.kind.Title(), s.names(some), s.redaction.URL(why))
		}
		out = append(out, problem{
			Kind: "bad", Component: f.component, Since: first.LastScrape, Fix: s.redaction.URL(fix), Message: page.Cut(message, page.MaxString),
			Link: "/targets?state=down&component=" + url.QueryEscape(f.component) + "&cause=" + url.QueryEscape(string(f.kind)),
		})
	}
	return out
}

// names are the names of the first targets.
func (s *situation) names(some []*inspect.ScrapeTarget) string {
	const most = 3
	var names []string
	for _, t := range some[:min(len(some), most)] {
		names = append(names, page.Cut(cmp.Or(s.redaction.NameOf(t.Discovered), s.redaction.URL(t.URL)), 60))
	}
	if more := len(some) - most; more > 0 {
		return strings.Join(names, ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// hintProblems lists the targets that are up, but not where their labels say.
func (s *situation) hintProblems() (out []problem) {
	for i := range s.targets {
		t := &s.targets[i]
		if t.State != "up" || !t.Mistaken {
			continue
		}
		out = append(out, problem{
			Kind: "warn", Component: t.Component, Link: "/targets/" + url.PathEscape(t.Component) + "/" + t.ID,
			Message: fmt.Sprintf("%s: %s", s.redaction.NameOf(t.Discovered), s.redaction.Text(t.Hint)), Fix: "Set the label to a port number.",
		})
		if len(out) == maxProblems {
			break
		}
	}
	return out
}

// typoProblems lists the containers that a rule drops for lack of a label, although
// they have one of nearly the same name.
func (s *situation) typoProblems() (out []problem) {
	facts := inspect.NewFacts(s.containers, s.relabelings)
	for _, c := range s.relabelings {
		if !c.Targets {
			continue
		}
		found := map[inspect.Typo][]string{}
		for _, input := range c.Inputs() {
			for i, rule := range c.Rules {
				typo, is := facts.Typo(rule, input)
				if !is {
					continue
				}
				name := s.redaction.NameOf(input)
				if by, kept := c.Dropper(input, ""); !kept && by == i && !slices.Contains(found[typo], name) {
					found[typo] = append(found[typo], name)
				}
			}
		}
		for _, typo := range slices.SortedFunc(maps.Keys(found), func(a, b inspect.Typo) int { return strings.Compare(a.Missing+a.Has, b.Missing+b.Has) }) {
			out = append(out, typoProblem(c.Component, typo, found[typo]))
		}
	}
	return out
}

func typoProblem(component string, typo inspect.Typo, names []string) problem {
	name := names[0]
	if more := len(names) - 1; more > 0 {
		name += fmt.Sprintf(" and %d more", more)
	}
	return problem{
		Kind: "warn", Component: component, Fix: "Rename the label of the container.",
		Message: fmt.Sprintf("%s drops %s: %s", component, page.Cut(name, 150), typo),
		Link:    "/relabel?state=dropped&component=" + url.QueryEscape(component) + "&q=" + url.QueryEscape(names[0]),
	}
}
