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
	urlPassword  = regexp.MustCompile("(://[^/\\s\"@:]*:)([^/\\s\"@]+)@")
)

func namesSecret(name string) bool { return component.NamesSecret(name) }

// maskLine replaces credentials in a source line by asterisks, one for each
// byte, so that columns stay. Behind the name of a secret every string is taken
// for one, as it may be put together by a function or lie in a list.
func maskLine(line string) string {
	if !strings.ContainsAny(line, "=:") {
		return line // which most pieces of a source are
	}
	for _, m := range assignment.FindAllStringSubmatchIndex(line, -1) {
		parameter := m[2] > 0 && (line[m[2]-1] == '?' || line[m[2]-1] == '&') // of a URL, see below
		if !parameter && namesSecret(line[m[2]:m[3]]) {
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
	for _, m := range urlParameter.FindAllStringSubmatchIndex(line, -1) {
		if namesSecret(line[m[4]:m[5]]) {
			hide(m[6], m[7])
		}
	}
	return string(masked)
}

// maskString hides the value of the string called name if that is a secret,
// and passwords in URLs.
func maskString(name, value string) string {
	if namesSecret(name) && value != "" {
		return Redacted
	}
	return WithoutPasswords(value)
}

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
		if namesSecret(parts[2]) && parts[3] != "" {
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
