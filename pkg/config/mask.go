package config

import (
	"regexp"
	"strings"

	"collector/pkg/mask"
	"collector/pkg/suggest"
)

var (
	stringToken = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"?|`[^`]*`?")
	assignment  = regexp.MustCompile(`([A-Za-z0-9_-]+)"?\s*=`)
)

// namesSecret reports whether an argument, a label or a member of an object of
// this name holds a secret, or is meant to: one that is misspelt is shown where it
// is reported.
func namesSecret(name string) bool {
	if mask.HidesValue(name) {
		return true
	}
	for part := range strings.FieldsFuncSeq(strings.ToLower(name), func(c rune) bool { return c == '_' || c == '-' }) {
		for _, word := range [...]string{"password", "passphrase", "credentials", "authorization"} {
			if d := len(part) - len(word); -2 <= d && d <= 2 && suggest.Distance(part, word) <= 2 {
				return !strings.HasSuffix(name, "_file") && !strings.HasSuffix(name, "_url")
			}
		}
	}
	return false
}

// maskLine replaces credentials in a source line by asterisks, one for each byte, so that
// columns stay. After the name of a secret, every string is taken for one, as it may be
// put together by a function or lie in a list.
func maskLine(line string) string {
	if !strings.ContainsAny(line, "=:") {
		return line // which most pieces of a source are
	}
	for _, m := range assignment.FindAllStringSubmatchIndex(line, -1) {
		parameter := m[2] > 0 && (line[m[2]-1] == '?' || line[m[2]-1] == '&') // of a URL, see mask.Covered
		if name := line[m[2]:m[3]]; !parameter && (namesSecret(name) || mask.HidesEntries(name)) {
			line = line[:m[1]] + maskStrings(line[m[1]:])
			break
		}
	}
	return mask.Covered(line)
}

// maskStrings replaces every string in a source line by asterisks, one for each
// byte, so that columns stay.
func maskStrings(line string) string {
	return stringToken.ReplaceAllStringFunc(line, func(s string) string { return strings.Repeat("*", len(s)) })
}
