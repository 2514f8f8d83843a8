package relabel

import (
	"fmt"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
	"collector/pkg/inspect"
)

// whyOf describes what the rule found.
func whyOf(s *inspect.Step) string {
	quoted := func(v string) string { return "“" + page.Cut(v, 200) + "”" }
	from := strings.Join(s.Rule.SourceLabels, ", ")
	found, regex := from+" is "+quoted(s.Value), quoted(s.Rule.Regex)
	if s.Value == "" {
		found = from + " is empty"
	}
	switch s.Rule.Action {
	case "keep", "drop", "replace":
		if from == "" {
			found = "without source labels, the value is empty"
		}
		if s.Matched {
			return found + ", which matches " + regex
		}
		return found + ", which does not match " + regex
	case "keepequal", "dropequal":
		if s.Matched {
			return found + ", equal to " + s.Rule.TargetLabel
		}
		return found + ", not equal to " + s.Rule.TargetLabel
	case "labelmap", "labeldrop", "labelkeep":
		if s.Matched {
			return "some label names match " + regex
		}
		return "no label name matches " + regex
	}
	return found
}

// sentenceOf is whyOf as the beginning of a sentence. Names of labels stay as they are.
func sentenceOf(s *inspect.Step) string {
	text := whyOf(s)
	if labels := s.Rule.SourceLabels; len(labels) > 0 && strings.HasPrefix(text, labels[0]) {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func stepNode(number int, s inspect.Step) g.Node {
	badge := page.Badge("info", "no change")
	switch {
	case s.Dropped:
		badge = page.Badge("bad", "dropped here")
	case len(s.Changes) == 1:
		badge = page.Badge("good", "changes 1 label")
	case len(s.Changes) > 1:
		badge = page.Badge("good", fmt.Sprintf("changes %d labels", len(s.Changes)))
	case s.Rule.Action == "keep" || s.Rule.Action == "drop" || s.Rule.Action == "keepequal" || s.Rule.Action == "dropequal":
		badge = page.Badge("good", "passes")
	}
	var rows []g.Node
	for i, c := range s.Changes {
		if i == maxChanges {
			rows = append(rows, page.Row(g.Textf("and %d more", len(s.Changes)-i), nil, nil))
			break
		}
		rows = append(rows, page.Row(h.Code(g.Text(page.Cut(c.Name, 200))), labelValue(c.Before), labelValue(c.After)))
	}
	return h.Li(h.ID(fmt.Sprintf("rule-%d", number)), h.Class("card"),
		h.H3(g.Textf("Rule %d: %s ", number, s.Rule.Action), badge),
		h.P(h.Code(g.Text(page.Cut(ruleText(&s.Rule), 1000)))), g.If(s.Words != "", h.P(g.Text(s.Words+"."))), h.P(g.If(s.Words != "", h.Class("dim")), g.Text(sentenceOf(&s)+".")),
		g.If(len(rows) > 0, page.Table(fmt.Sprintf("Changes by rule %d", number), []page.Column{{Title: "Label"}, {Title: "Before"}, {Title: "After"}}, rows...)))
}

// maxChanges is how many changes of one rule are listed.
const maxChanges = 100

func labelValue(v string) g.Node {
	if v == "" {
		return h.Span(h.Class("dim"), g.Text("not set"))
	}
	return h.Code(g.Text(page.Cut(v, 300)))
}

// ruleText is the rule as written in a configuration, without defaults.
func ruleText(r *inspect.Rule) string {
	var parts []string
	add := func(name, value, byDefault string) {
		if value != byDefault {
			parts = append(parts, fmt.Sprintf("%s = %q", name, value))
		}
	}
	if len(r.SourceLabels) > 0 {
		parts = append(parts, fmt.Sprintf("source_labels = [\"%s\"]", strings.Join(r.SourceLabels, `", "`)))
	}
	add("separator", r.Separator, ";")
	add("regex", r.Regex, "(.*)")
	add("target_label", r.TargetLabel, "")
	add("replacement", r.Replacement, "$1")
	if r.Modulus > 0 {
		parts = append(parts, fmt.Sprintf("modulus = %d", r.Modulus))
	}
	return strings.Join(append(parts, fmt.Sprintf("action = %q", r.Action)), "  ")
}
