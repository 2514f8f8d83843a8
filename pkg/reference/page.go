// Package reference writes the documentation of components: for each a page made
// of its own Markdown file and of its configuration struct, and an index.
//
// The file of a component has this form. What precedes the first heading
// says what the component is for; its first paragraph is the summary in the
// index. Then follow, each at most once, in this order:
//
//	## Example          one block of code, a whole configuration
//	## Arguments        remarks on arguments and blocks, where the name alone
//	                    does not tell, and where the effect differs from Alloy's
//	## Without effect   arguments and blocks that are accepted and change nothing,
//	                    each with the reason
//	## Caveats          text
//
// The second and third are lists of items like
//
//   - `endpoint > url`: text
package reference

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// page is the parsed file of a component.
type page struct {
	about   string
	example string
	// notes and idle are the texts of "Arguments" and "Without effect" by path.
	notes, idle map[string]string
	caveats     string
}

// The headings of a file, in their order.
const (
	example   = "## Example"
	arguments = "## Arguments"
	idle      = "## Without effect"
	caveats   = "## Caveats"
)

func headings() []string { return []string{example, arguments, idle, caveats} }

// parse reads the file of a component.
func parse(text string) (page, error) {
	p := page{notes: map[string]string{}, idle: map[string]string{}}
	sections, err := split(text)
	if err != nil {
		return p, err
	}
	p.about, p.caveats = sections[""], sections[caveats]
	if p.about == "" {
		return p, fmt.Errorf("there is no text before the first heading: say what the component is for")
	}
	code, ok := strings.CutPrefix(sections[example], "```alloy\n")
	code, closed := strings.CutSuffix(code, "\n```")
	if !ok || !closed || strings.Contains(code, "```") {
		return p, fmt.Errorf("%q must have one block of code that starts with ```alloy", example)
	}
	p.example = code + "\n"
	for heading, items := range map[string]map[string]string{arguments: p.notes, idle: p.idle} {
		if err := list(sections[heading], items); err != nil {
			return p, fmt.Errorf("%q: %w", heading, err)
		}
	}
	return p, nil
}

// split cuts a file at its headings. The text before the first has the key "".
func split(text string) (map[string]string, error) {
	sections := map[string]string{}
	var order []string
	current, code := "", false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		if heading := strings.TrimSpace(line); !code && strings.HasPrefix(line, "## ") {
			if _, twice := sections[heading]; twice || !slices.Contains(headings(), heading) {
				return nil, fmt.Errorf("unexpected heading %q: use each of %s at most once", heading, strings.Join(headings(), ", "))
			}
			current = heading
			order = append(order, heading)
			sections[heading] = ""
			continue
		}
		sections[current] += line
	}
	at := func(a, b string) int { return slices.Index(headings(), a) - slices.Index(headings(), b) }
	if !slices.IsSortedFunc(order, at) {
		return nil, fmt.Errorf("the headings must come in the order %s", strings.Join(headings(), ", "))
	}
	for heading := range sections {
		sections[heading] = strings.TrimSpace(sections[heading])
	}
	return sections, nil
}

var item = regexp.MustCompile("^- `([^`]+)`: (.+)$")

// list reads a list of "- `path`: text" into items. An indented line continues the
// previous item.
func list(text string, items map[string]string) error {
	path := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		if rest, more := strings.CutPrefix(line, "  "); more && path != "" {
			items[path] += " " + strings.TrimSpace(rest)
			continue
		}
		m := item.FindStringSubmatch(line)
		if m == nil {
			return fmt.Errorf("line %q is not an item: write it as \"- `endpoint > url`: text\"", line)
		}
		path = m[1]
		if items[path] != "" {
			return fmt.Errorf("%s is listed more than once", path)
		}
		items[path] = m[2]
	}
	return nil
}

// summary is the first paragraph, on one line.
func (p page) summary() string {
	first, _, _ := strings.Cut(p.about, "\n\n")
	return strings.Join(strings.Fields(first), " ")
}
