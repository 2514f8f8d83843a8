package config

import (
	"regexp"
	"strings"
)

var (
	stringToken = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"?|`[^`]*`?")
	secretName  = regexp.MustCompile(`(?i)password|secret|token|credentials|passphrase|authorization|cookie|key_pem|api[-_]?key`)
	assignment  = regexp.MustCompile("([A-Za-z0-9_-]+)\"?\\s*=\\s*\\[?\\s*(?:\"((?:[^\"\\\\]|\\\\.)*)|`([^`]*))")
	urlPassword = regexp.MustCompile("(://[^/\\s\"@:]*:)([^/\\s\"@]+)@")
)

// namesSecret tells whether an argument or a header of this name holds what
// must not be shown. The name of a file or an address is no secret.
func namesSecret(name string) bool {
	return secretName.MatchString(name) && !strings.HasSuffix(name, "_file") && !strings.HasSuffix(name, "_url")
}

// maskLine replaces credentials in a source line by asterisks, one for each
// byte, so that columns stay.
func maskLine(line string) string {
	masked := []byte(line)
	hide := func(start, end int) {
		for i := start; i >= 0 && i < end; i++ {
			masked[i] = '*'
		}
	}
	for _, m := range assignment.FindAllStringSubmatchIndex(line, -1) {
		if namesSecret(line[m[2]:m[3]]) {
			hide(m[4], m[5])
			hide(m[6], m[7])
		}
	}
	for _, m := range urlPassword.FindAllStringSubmatchIndex(line, -1) {
		hide(m[4], m[5])
	}
	return string(masked)
}

// maskString hides the value of the string called name if that is a secret,
// and passwords in URLs.
func maskString(name, value string) string {
	if namesSecret(name) && value != "" {
		return "(secret)"
	}
	return urlPassword.ReplaceAllString(value, "${1}(secret)@")
}

// maskStrings replaces every string in a source line by asterisks, one for each
// byte, so that columns stay.
func maskStrings(line string) string {
	return stringToken.ReplaceAllStringFunc(line, func(s string) string { return strings.Repeat("*", len(s)) })
}
