package config

import (
	"regexp"
	"strings"
)

var (
	stringToken = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"?|`[^`]*`?")
	secretName  = regexp.MustCompile(`(?i)password|secret|token|credentials|passphrase|authorization|cookie|key_pem|api[-_]?key`)
	assignment  = regexp.MustCompile(`([A-Za-z0-9_-]+)"?\s*=`)
	urlPassword = regexp.MustCompile("(://[^/\\s\"@:]*:)([^/\\s\"@]+)@")
)

// namesSecret tells whether an argument or a header of this name holds what
// must not be shown. The name of a file or an address is no secret.
func namesSecret(name string) bool {
	return secretName.MatchString(name) && !strings.HasSuffix(name, "_file") && !strings.HasSuffix(name, "_url")
}

// maskLine replaces credentials in a source line by asterisks, one for each
// byte, so that columns stay. Behind the name of a secret every string is taken
// for one, as it may be put together by a function or lie in a list.
func maskLine(line string) string {
	for _, m := range assignment.FindAllStringSubmatchIndex(line, -1) {
		if namesSecret(line[m[2]:m[3]]) {
			line = line[:m[1]] + maskStrings(line[m[1]:])
			break
		}
	}
	masked := []byte(line)
	for _, m := range urlPassword.FindAllStringSubmatchIndex(line, -1) {
		for i := m[4]; i < m[5]; i++ {
			masked[i] = '*'
		}
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
