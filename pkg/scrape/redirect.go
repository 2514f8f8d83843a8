package scrape

import (
	"net/http"

	"collector/pkg/httpclient"
)

// maxRedirects is how many redirects in a row a scrape follows.
const maxRedirects = 5

// followOwn is the CheckRedirect of scrapes. A target says for itself where its
// page is: at another path, or by HTTPS. It does not decide which other host or
// port the collector, which may reach more than the target can, is to ask.
func followOwn(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || !httpclient.SameHost(via[len(via)-1].URL, next.URL) {
		return http.ErrUseLastResponse
	}
	return nil
}

// followNone is the CheckRedirect of a request whose answer is shown as it is.
func followNone(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
