package relabel

import (
	"slices"
	"strings"

	"collector/pkg/admin/ui/page"
	"collector/pkg/inspect"
)

// inWords is what a rule looks for and what it finds, in words; "" if its expression
// is not one that has words. name is what a label is called.
func inWords(s *inspect.Step, name func(string) string) string {
	r := &s.Rule
	branches, known := conditions(r)
	if !known {
		return ""
	}
	want := wanted(branches, r.SourceLabels, name)
	here := "; here, " + found(s, name)
	switch {
	case r.Action == "keep":
		return "It keeps only those where " + want + here
	case r.Action == "drop":
		return "It drops those where " + want + here
	case r.Action == "replace" && !s.Matched: // otherwise the changes say it all
		return "It sets " + r.TargetLabel + " only where " + want + here
	}
	return ""
}

// found is what the source labels are.
func found(s *inspect.Step, name func(string) string) string {
	labels := s.Rule.SourceLabels
	values := strings.Split(s.Value, s.Rule.Separator)
	if s.Rule.Separator == "" || len(values) != len(labels) {
		return "together they are “" + page.Cut(s.Value, 200) + "”"
	}
	var parts, unset []string
	for i, label := range labels {
		if values[i] == "" {
			unset = append(unset, name(label))
		} else {
			parts = append(parts, name(label)+" is “"+page.Cut(values[i], 200)+"”")
		}
	}
	switch len(unset) {
	case 0:
	case 1:
		parts = append(parts, unset[0]+" is not set")
	default:
		parts = append(parts, strings.Join(unset[:len(unset)-1], ", ")+" and "+unset[len(unset)-1]+" are not set")
	}
	return strings.Join(parts, ", ")
}

// condition is what a part of an expression asks of a value.
type condition struct {
	number        bool   // it is made of digits
	before, after string // what may be around the text: "", "*" for anything, "+" for something
	text          string
}

// holds reports whether a value meets c.
func (c condition) holds(v string) bool {
	if c.number {
		return v != "" && strings.Trim(v, "0123456789") == ""
	}
	for i := 0; i+len(c.text) <= len(v); i++ {
		first, last := i == 0, i+len(c.text) == len(v)
		around := (first && c.before != "+" || !first && c.before != "") && (last && c.after != "+" || !last && c.after != "")
		if around && strings.HasPrefix(v[i:], c.text) {
			return true
		}
	}
	return false
}

// any reports whether every value meets c.
func (c condition) any() bool {
	return !c.number && c.text == "" && c.before+c.after != "" && !strings.Contains(c.before+c.after, "+")
}

// words follow the label's name.
func (c condition) words() string {
	quoted := "“" + page.Cut(c.text, 100) + "”"
	switch {
	case c.number:
		return "is a number"
	case c.text == "" && c.before+c.after == "":
		return "is empty"
	case c.text == "":
		return "is set"
	case c.before != "" && c.after != "":
		return "contains " + quoted
	case c.before != "":
		return "ends with " + quoted
	case c.after != "":
		return "begins with " + quoted
	}
	return "is " + quoted
}

// wanted are the conditions in words: those of each branch, of which one has to hold.
func wanted(branches [][]condition, labels []string, name func(string) string) string {
	var out []string
	for _, branch := range branches {
		var all []string
		for i, c := range branch {
			if !c.any() {
				all = append(all, name(labels[i])+" "+c.words())
			}
		}
		if len(all) == 0 {
			return "any value"
		}
		if len(labels) == 1 && len(out) > 0 {
			all[0] = strings.TrimPrefix(branch[0].words(), "is ") // without the name again
		}
		out = append(out, strings.Join(all, " and "))
	}
	if len(labels) == 1 {
		return strings.Join(out, " or ")
	}
	return strings.Join(out, ", or ")
}

// conditions are what the expression of a rule asks of each of its source labels, in
// one or several branches; known is false for one that can't be taken apart.
func conditions(r *inspect.Rule) (branches [][]condition, known bool) {
	if len(r.SourceLabels) == 0 {
		return nil, false
	}
	alternatives, known := split(r.Regex)
	if !known {
		return nil, false
	}
	for _, alternative := range alternatives {
		pieces := []string{alternative}
		if len(r.SourceLabels) > 1 {
			if r.Separator == "" || strings.ContainsAny(r.Separator, special) {
				return nil, false
			}
			pieces = strings.Split(alternative, r.Separator)
		}
		if len(pieces) != len(r.SourceLabels) {
			return nil, false
		}
		var branch []condition
		for _, piece := range pieces {
			c, known := parse(piece)
			if !known {
				return nil, false
			}
			branch = append(branch, c)
		}
		branches = append(branches, branch)
	}
	return branches, true
}

// special are the characters that mean something in an expression.
const special = `\.+*?()|[]{}^$`

// split are the alternatives of an expression. Nested ones are not understood.
func split(regex string) (alternatives []string, known bool) {
	if inner, ok := strings.CutPrefix(regex, "("); ok && strings.HasSuffix(inner, ")") && !strings.ContainsAny(inner[:len(inner)-1], `()\`) {
		regex = strings.TrimPrefix(inner[:len(inner)-1], "?:")
	}
	depth, start := 0, 0
	for i := 0; i < len(regex); i++ {
		switch regex[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			depth--
		case '|':
			if depth > 0 {
				return nil, false
			}
			alternatives = append(alternatives, regex[start:i])
			start = i + 1
		}
	}
	return append(alternatives, regex[start:]), true
}

// parse is what a part of an expression without alternatives asks of a value.
func parse(regex string) (c condition, known bool) {
	if inner, ok := strings.CutPrefix(regex, "("); ok && strings.HasSuffix(inner, ")") && !strings.ContainsAny(inner[:len(inner)-1], `()`) {
		regex = strings.TrimPrefix(inner[:len(inner)-1], "?:")
	}
	switch regex {
	case `\d+`, "[0-9]+":
		return condition{number: true}, true
	case ".*", ".+":
		return condition{before: regex[1:]}, true
	}
	c.before, regex = cutWildcard(regex, strings.CutPrefix)
	c.after, regex = cutWildcard(regex, strings.CutSuffix)
	c.text, known = literal(regex)
	return c, known && (c.text != "" || c.before+c.after == "")
}

func cutWildcard(regex string, cut func(s, part string) (string, bool)) (kind, rest string) {
	for _, wildcard := range []string{"(.*)", "(.+)", ".*", ".+"} {
		if rest, found := cut(regex, wildcard); found {
			return strings.Trim(wildcard, "(.)"), rest
		}
	}
	return "", regex
}

// literal is the text that an expression represents if it is nothing but text.
func literal(regex string) (text string, is bool) {
	var b strings.Builder
	for i := 0; i < len(regex); i++ {
		c := regex[i]
		if c == '\\' {
			if i++; i == len(regex) || !slices.Contains([]byte(special+`/-:"`), regex[i]) {
				return "", false
			}
			c = regex[i]
		} else if strings.IndexByte(special, c) >= 0 {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

// labelName is what a label is called in words: a container's as Docker has it.
func labelName(facts *inspect.Facts) func(string) string {
	return func(name string) string {
		if strings.HasPrefix(name, containerLabel) {
			return "the label " + facts.LabelName(name)
		}
		return name
	}
}

const containerLabel = "__meta_docker_container_label_"
