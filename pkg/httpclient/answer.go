package httpclient

import (
	"net/http"
	"strings"
)

// harmless are the headers of a request that have no secret in them.
const harmless = " Accept Accept-Encoding Content-Encoding Content-Length Content-Type User-Agent X-Prometheus-Remote-Write-Version X-Scope-Orgid "

// minSecret is how long a header's value must be to be taken out wherever it
// stands: a shorter one is part of other words.
const minSecret = 6

// WithoutCredentials is the text of an answer without what the request carried
// in its headers: some servers repeat it in their errors, which are logged and
// shown.
func WithoutCredentials(text string, answer *http.Response) string {
	if answer.Request == nil {
		return text
	}
	for name, values := range answer.Request.Header {
		if strings.Contains(harmless, " "+name+" ") {
			continue
		}
		for _, value := range values {
			if _, token, ok := strings.Cut(value, " "); ok && len(token) >= minSecret {
				text = strings.ReplaceAll(text, token, redacted)
			}
			if len(value) >= minSecret {
				text = strings.ReplaceAll(text, value, redacted)
			}
		}
	}
	return text
}

const redacted = "(secret)"
