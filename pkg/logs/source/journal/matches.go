package journal

import (
	"fmt"
	"slices"
	"strings"

	"collector/pkg/logs/source/journal/journalfile"
)

// matches selects entries as journalctl does: values of one field are alternatives,
// fields must all match, and what "+" separates are alternatives again. None select
// everything.
type matches []map[string][]string

// parseMatches reads FIELD=value pairs, separated by blanks, and "+".
func parseMatches(text string) (matches, error) {
	var out matches
	group := make(map[string][]string)
	words := strings.Fields(text)
	for i, word := range words {
		if word == "+" {
			if len(group) == 0 || i == len(words)-1 {
				return nil, fmt.Errorf("%q: there must be a match on each side of \"+\"", text)
			}
			out, group = append(out, group), make(map[string][]string)
			continue
		}
		field, value, ok := strings.Cut(word, "=")
		if !ok || !isFieldName(field) {
			return nil, fmt.Errorf("%q is not a match; for example: \"_SYSTEMD_UNIT=nginx.service PRIORITY=3\"", word)
		}
		group[field] = append(group[field], value)
	}
	if len(group) > 0 {
		out = append(out, group)
	}
	return out, nil
}

// isFieldName reports whether the journal has fields of such a name.
func isFieldName(s string) bool {
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for _, c := range []byte(s) {
		if c != '_' && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// selects reports whether an entry with the fields matches. A field may occur
// several times.
func (m matches) selects(fields []journalfile.Field) bool {
	return len(m) == 0 || slices.ContainsFunc(m, func(group map[string][]string) bool {
		for name, values := range group {
			if !slices.ContainsFunc(fields, func(f journalfile.Field) bool {
				return f.Name == name && f.Whole && slices.Contains(values, f.Value)
			}) {
				return false
			}
		}
		return true
	})
}
