package page

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	g "maragu.dev/gomponents"

	"collector/pkg/suggest"
)

// Filters is what a page understands of a query: by parameter, the values that match
// something; nil if any value may.
type Filters map[string][]string

// listed are the parameters of every list, of which sort has values of its own.
func listed() []string { return []string{"q", "sort", "page", "per_page"} }

// fewValues is how many values a note lists.
const fewValues = 12

// Notes names each filter of a query that is unknown, or matches nothing known.
func (f Filters) Notes(values url.Values) []string {
	var notes []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		known, ok := f[name]
		if !ok && !slices.Contains(listed(), name) {
			notes = append(notes, fmt.Sprintf("The filter %s is not known here and is ignored: use %s.", Cut(name, 60), anyOf(slices.Sorted(maps.Keys(f)))))
			continue
		}
		for _, value := range values[name] {
			if name == "sort" {
				value = strings.TrimPrefix(value, "-")
			}
			if value == "" || known == nil || slices.Contains(known, value) {
				continue
			}
			note := fmt.Sprintf("The filter %s=%s matches nothing that is known", name, Cut(value, 100))
			if name == "sort" {
				note = fmt.Sprintf("The list cannot be sorted by %s", Cut(value, 100))
			}
			near := suggest.Nearest(value, known)
			switch {
			case near != "":
				note += fmt.Sprintf("; did you mean %s?", near)
			case len(known) == 0:
				note += "."
			case len(known) <= fewValues:
				note += ": use " + anyOf(known) + "."
			default:
				note += "."
			}
			notes = append(notes, note)
		}
	}
	return notes
}

// anyOf lists names as alternatives.
func anyOf(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Notes shows what there is to say of the filters.
func Notes(notes []string) g.Node {
	return g.Map(notes, func(note string) g.Node { return Note("warn", g.Text(note)) })
}
