package config

import (
	"regexp"
	"strings"

	"collector/pkg/component"
)

var (
	stringToken = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"?|`[^`]*`?")
	assignment  = regexp.MustCompile(`([A-Za-z0-9_-]+)"?\s*=`)
	// urlParameter is one of a URL's query, in JSON too.
	urlParameter = regexp.MustCompile(`((?:[?&]|\\u0026)([^=?&\s"'#\\]+)=)([^&\s"'#\\]*)`)
	jsonMember   = regexp.MustCompile(`("([^"\\]*)":\s?)"((?:[^"\\]|\\.)*)"`)
	// quotedLogin begins a string, without a scheme; before a digest it is an image.
	quotedLogin = regexp.MustCompile("([\"`][^\\s\"'`@:/=]+:)([^\\s\"'`@/]+)@(sha(?:256|512):)?")
	urlPassword = regexp.MustCompile("(://[^/\\s\"@:]*:)([^/\\s\"]+)@")
)

// namesSecret reports whether an argument, a label or a member of an object of
// this name holds a secret, or is meant to: one that is misspelt is shown where it
// is reported.
func namesSecret(name string) bool {
	if component.HidesValue(name) {
		return true
	}
	for part := range strings.FieldsFuncSeq(strings.ToLower(name), func(c rune) bool { return c == '_' || c == '-' }) {
		for _, word := range [...]string{"password", "passphrase", "credentials", "authorization"} {
			if d := len(part) - len(word); -2 <= d && d <= 2 && editDistance(part, word) <= 2 {
				return !strings.HasSuffix(name, "_file") && !strings.HasSuffix(name, "_url")
			}
		}
	}
	return false
}

// hiddenEntry reports whether the value of an entry of a map must not be shown:
// of headers and of parameters only known ones are.
func hiddenEntry(of, name string) bool {
	switch of {
	case "headers", "http_headers", "proxy_connect_header":
		return !component.ShowsHeader(name)
	case "params", "endpoint_params":
		return !component.ShowsParameter(name)
	}
	return false
}

// holdsEntries reports whether entries of a map of this name may be hidden.
func holdsEntries(name string) bool { return hiddenEntry(name, "") }

// maskLine replaces credentials in a source line by asterisks, one for each
// byte, so that columns stay. Behind the name of a secret every string is taken
// for one, as it may be put together by a function or lie in a list.
func maskLine(line string) string {
	if !strings.ContainsAny(line, "=:") {
		return line // which most pieces of a source are
	}
	for _, m := range assignment.FindAllStringSubmatchIndex(line, -1) {
		parameter := m[2] > 0 && (line[m[2]-1] == '?' || line[m[2]-1] == '&') // of a URL, see below
		if name := line[m[2]:m[3]]; !parameter && (namesSecret(name) || holdsEntries(name)) {
			line = line[:m[1]] + maskStrings(line[m[1]:])
			break
		}
	}
	masked := []byte(line)
	hide := func(start, end int) {
		for i := start; i < end; i++ {
			masked[i] = '*'
		}
	}
	for _, m := range urlPassword.FindAllStringSubmatchIndex(line, -1) {
		hide(m[4], m[5])
	}
	for _, m := range quotedLogin.FindAllStringSubmatchIndex(line, -1) {
		if m[6] < 0 {
			hide(m[4], m[5])
		}
	}
	for _, m := range urlParameter.FindAllStringSubmatchIndex(line, -1) {
		if component.HidesParameter(line[m[4]:m[5]]) {
			hide(m[6], m[7])
		}
	}
	return string(masked)
}

// maskString hides the value of the string called name if that is a secret,
// and passwords in URLs.
func maskString(name, value string) string {
	if component.HidesValue(name) && value != "" {
		return Redacted
	}
	return WithoutPasswords(value)
}

// NamesSecret is component.NamesSecret, for the packages that look for what a
// secret has been copied to.
func NamesSecret(name string) bool { return component.NamesSecret(name) }

// Shown is the value of something called name as it may be shown.
func Shown(name, value string) string { return maskString(name, value) }

// Redacted is component.Redacted, which stands where a secret was.
const Redacted = component.Redacted

// WithoutPasswords is component.WithoutPasswords, for the packages that show
// what a configuration holds.
func WithoutPasswords(text string) string { return component.WithoutPasswords(text) }

// WithoutSecrets is JSON without the values of members that are called like a
// secret, and what WithoutPasswords takes out.
func WithoutSecrets(json string) string {
	json = jsonMember.ReplaceAllStringFunc(json, func(found string) string {
		parts := jsonMember.FindStringSubmatch(found)
		if component.HidesValue(parts[2]) && parts[3] != "" {
			return parts[1] + `"` + Redacted + `"`
		}
		return found
	})
	return WithoutPasswords(json)
}

// maskStrings replaces every string in a source line by asterisks, one for each
// byte, so that columns stay.
func maskStrings(line string) string {
	return stringToken.ReplaceAllStringFunc(line, func(s string) string { return strings.Repeat("*", len(s)) })
}
