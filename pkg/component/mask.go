package component

import (
	"net/url"
	"regexp"
	"strings"
)

var (
	// urlParameter is one of a URL's query, in JSON too.
	urlParameter = regexp.MustCompile(`((?:[?&]|\\u0026)([^=?&\s"'#\\]+)=)([^&\s"'#\\]*)`)
	urlPassword  = regexp.MustCompile("(://[^/\\s\"@:]*:)([^/\\s\"@]+)@")
	labelPair    = regexp.MustCompile(`(([A-Za-z_][A-Za-z0-9_]*)=)"((?:[^"\\]|\\.)*)"`)
)

// Redacted stands where a secret was.
const Redacted = "(secret)"

// NamesSecret tells whether an argument, a header or a parameter of this name
// holds what must not be shown. The name of a file or an address is no secret.
func NamesSecret(name string) bool {
	if strings.HasSuffix(name, "_file") || strings.HasSuffix(name, "_url") {
		return false
	}
	// Pages ask this of each label of thousands of targets.
	lower := strings.ToLower(name)
	for _, word := range [...]string{
		"password", "secret", "token", "credentials", "passphrase", "authorization", "cookie", "key_pem", "apikey", "api-key", "api_key",
	} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}

// WithoutPasswords is text, such as an error or a URL, without the passwords of
// URLs in it, and without the values of their parameters that are called like a
// secret.
func WithoutPasswords(text string) string {
	if strings.Contains(text, "://") {
		text = urlPassword.ReplaceAllString(text, "${1}"+Redacted+"@")
	}
	if !strings.Contains(text, "=") {
		return text
	}
	return urlParameter.ReplaceAllStringFunc(text, func(found string) string {
		parts := urlParameter.FindStringSubmatch(found)
		if name, err := url.QueryUnescape(parts[2]); err == nil && NamesSecret(name) && parts[3] != "" {
			return parts[1] + Redacted
		}
		return found
	})
}

// WithoutLabelSecrets is text, such as {a="b", c="d"}, without the values of
// labels that are called like a secret, and what WithoutPasswords takes out.
func WithoutLabelSecrets(text string) string {
	return WithoutPasswords(labelPair.ReplaceAllStringFunc(text, func(found string) string {
		parts := labelPair.FindStringSubmatch(found)
		if NamesSecret(parts[2]) && parts[3] != "" {
			return parts[1] + `"` + Redacted + `"`
		}
		return found
	}))
}
