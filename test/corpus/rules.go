package corpus

import (
	"maps"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/grafana/alloy/syntax/ast"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
)

// rules are the relabel rules of a block.
func (c *configuration) rules(body ast.Body) []*relabel.Config {
	var out []*relabel.Config
	for _, b := range children(body, "rule") {
		rule := relabel.DefaultRelabelConfig
		rule.NameValidationScheme = model.UTF8Validation
		var sources []string
		_ = c.eval(attribute(b.Body, "source_labels"), &sources)
		for _, s := range sources {
			rule.SourceLabels = append(rule.SourceLabels, model.LabelName(s))
		}
		if e := attribute(b.Body, "separator"); e != nil {
			rule.Separator = c.text(e)
		}
		if e := attribute(b.Body, "regex"); e != nil {
			regex, err := relabel.NewRegexp(c.text(e))
			if err != nil {
				continue
			}
			rule.Regex = regex
		}
		if e := attribute(b.Body, "replacement"); e != nil {
			rule.Replacement = c.text(e)
		}
		if e := attribute(b.Body, "action"); e != nil {
			rule.Action = relabel.Action(strings.ToLower(c.text(e)))
		}
		if e := attribute(b.Body, "modulus"); e != nil {
			_ = c.eval(e, &rule.Modulus)
		}
		rule.TargetLabel = c.text(attribute(b.Body, "target_label"))
		out = append(out, &rule)
	}
	return out
}

// allRules are the rules of blocks, one after the other.
func (c *configuration) allRules(blocks ...*block) []*relabel.Config {
	var out []*relabel.Config
	for _, b := range blocks {
		if b.kind == "discovery.relabel" || b.kind == "prometheus.relabel" || b.kind == "loki.relabel" || b.kind == "pyroscope.relabel" {
			out = append(out, c.rules(b.body)...)
		}
	}
	return out
}

// passed is how many of the rules keep the labels, and what they make of them.
func passed(rules []*relabel.Config, from map[string]string) (n int, out labels.Labels) {
	b := labels.NewBuilder(labels.FromMap(from))
	for i, rule := range rules {
		if !relabel.ProcessBuilder(b, rule) {
			return i, labels.EmptyLabels()
		}
	}
	return len(rules), b.Labels()
}

// satisfy sets free labels so that the rules keep all, and better, which may be nil, is 0
// for the result. It reports whether it could.
func satisfy(rules []*relabel.Config, from map[string]string, free []string, values []string, worse func(labels.Labels) int) (map[string]string, bool) {
	pool := slices.Clone(values)
	for _, r := range rules {
		for _, example := range examples(r.Regex.String()) {
			// What is compared may be a part of what is free.
			pool = append(pool, strings.Split(example, r.Separator)...)
			pool = append(pool, example, "/"+example, strings.TrimPrefix(example, "/"))
		}
	}
	slices.Sort(pool)
	pool = slices.Compact(pool)
	cost := func(candidate map[string]string) int {
		n, out := passed(rules, candidate)
		missing := (len(rules) - n) * 100
		if missing == 0 && worse != nil {
			missing = worse(out)
		}
		return missing
	}
	best := maps.Clone(from)
	least := cost(best)
	for range 3 { // one label may depend on another
		for _, name := range free {
			for _, value := range pool {
				candidate := maps.Clone(best)
				candidate[name] = value
				if n := cost(candidate); n < least {
					best, least = candidate, n
				}
			}
		}
	}
	return best, least == 0
}

// sources are the labels that rules read and is accepts.
func sources(rules []*relabel.Config, is func(string) bool) []string {
	var out []string
	for _, r := range rules {
		for _, s := range r.SourceLabels {
			if name := string(s); is(name) && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// examples are short texts that an expression matches, one for each of its first
// alternatives.
func examples(expression string) []string {
	if inner, anchored := strings.CutPrefix(expression, "^(?s:"); anchored {
		expression = strings.TrimSuffix(inner, ")$")
	}
	e, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil
	}
	var out []string
	for n := range 4 {
		if text := example(e, n); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// example is a text that e matches, choosing among alternatives by number.
func example(e *syntax.Regexp, number int) string {
	switch e.Op {
	case syntax.OpLiteral:
		return string(e.Rune)
	case syntax.OpCharClass:
		if len(e.Rune) == 0 {
			return ""
		}
		for i := 0; i+1 < len(e.Rune); i += 2 {
			if e.Rune[i] <= 'a' && 'a' <= e.Rune[i+1] {
				return "a"
			}
		}
		return string(max(e.Rune[0], min(' ', e.Rune[1])))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "x"
	case syntax.OpCapture, syntax.OpPlus:
		return example(e.Sub[0], number)
	case syntax.OpRepeat:
		return strings.Repeat(example(e.Sub[0], number), max(e.Min, min(1, e.Max)))
	case syntax.OpAlternate:
		return example(e.Sub[number%len(e.Sub)], number/len(e.Sub))
	case syntax.OpConcat:
		var b strings.Builder
		for _, sub := range e.Sub {
			b.WriteString(example(sub, number))
		}
		return b.String()
	}
	return "" // what may be absent
}
