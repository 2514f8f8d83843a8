// Package mask says what must not be shown, and removes it from texts: passwords, tokens
// and keys, by their names or by their place in a URL.
package mask

import (
	"regexp"
	"strings"
)

// loginRest is how a login continues, before a host without a scheme; before a digest it
// is an image.
const loginRest = "[^\\s\"'`@:/=]+:)([^\\s\"'`@/]+)@(sha(?:256|512):)?"

var (
	// urlParameter is one of a URL's query, in JSON too.
	urlParameter = regexp.MustCompile(`((?:[?&]|\\u0026)([^=?&\s"'#\\]+)=)([^&\s"'#\\]*)`)
	urlPassword  = regexp.MustCompile("(://[^/\\s\"@:]*:)([^/\\s\"]+)@")
	login        = regexp.MustCompile("((?:^|[\\s\"'`=])" + loginRest)
	quotedLogin  = regexp.MustCompile("([\"`]" + loginRest) // begins a string
	labelPair    = regexp.MustCompile(`(([A-Za-z_][A-Za-z0-9_]*)=)"((?:[^"\\]|\\.)*)"`)
	jsonMember   = regexp.MustCompile(`("([^"\\]*)":\s?)"((?:[^"\\]|\\.)*)"`)
)

// Redacted replaces a secret.
const Redacted = "(secret)"

// Shown is the value of something called name as it may be shown.
func Shown(name, value string) string {
	if HidesValue(name) && value != "" {
		return Redacted
	}
	return WithoutPasswords(value)
}

// WithoutPasswords is text, such as an error or a URL, without the passwords of
// URLs in it, and without the values of their parameters, but for those that are
// known to be no secrets.
func WithoutPasswords(text string) string {
	text = WithoutURLPasswords(text)
	if !strings.Contains(text, "=") {
		return text
	}
	return urlParameter.ReplaceAllStringFunc(text, func(found string) string {
		parts := urlParameter.FindStringSubmatch(found)
		if HidesParameter(parts[2]) && parts[3] != "" {
			return parts[1] + Redacted
		}
		return found
	})
}

// WithoutURLPasswords is text without the passwords of URLs in it. Their parameters
// stay.
func WithoutURLPasswords(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	return urlPassword.ReplaceAllString(text, "${1}"+Redacted+"@")
}

// WithoutLogins is text, such as an error, without passwords that precede a host without
// a scheme: libraries quote addresses like that, and so do people who forget the scheme.
func WithoutLogins(text string) string {
	if !strings.Contains(text, "@") {
		return text
	}
	return login.ReplaceAllStringFunc(text, func(found string) string {
		parts := login.FindStringSubmatch(found)
		if parts[3] != "" {
			return found
		}
		return parts[1] + Redacted + "@"
	})
}

// WithoutLabelSecrets is text, such as {a="b", c="d"}, without the values of labels that
// are called like a secret, and what WithoutPasswords removes.
func WithoutLabelSecrets(text string) string {
	return WithoutPasswords(labelPair.ReplaceAllStringFunc(text, func(found string) string {
		parts := labelPair.FindStringSubmatch(found)
		if HidesValue(parts[2]) && parts[3] != "" {
			return parts[1] + `"` + Redacted + `"`
		}
		return found
	}))
}

// WithoutMembers is JSON without the values of members that are called like a secret, and
// what WithoutPasswords removes.
func WithoutMembers(json string) string {
	json = jsonMember.ReplaceAllStringFunc(json, func(found string) string {
		parts := jsonMember.FindStringSubmatch(found)
		if HidesValue(parts[2]) && parts[3] != "" {
			return parts[1] + `"` + Redacted + `"`
		}
		return found
	})
	return WithoutPasswords(json)
}

// Covered is a source line with asterisks for the passwords and parameters of the URLs
// in it, and for logins that begin a string: one for each byte, so that columns stay.
func Covered(line string) string {
	covered := []byte(line)
	hide := func(start, end int) {
		for i := start; i < end; i++ {
			covered[i] = '*'
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
		if HidesParameter(line[m[4]:m[5]]) {
			hide(m[6], m[7])
		}
	}
	return string(covered)
}
