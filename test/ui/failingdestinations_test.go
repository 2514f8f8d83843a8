//go:build integration

package ui

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"collector/pkg/cause/causetest"
	"collector/test/harness"
)

// failingDestinations are URLs at which nothing arrives, and what the pages say about
// each: the cause, and the end of the advice.
func failingDestinations(t *testing.T) map[string][3]string {
	answer := func(status int, words string) string {
		return "http://" + causetest.HTTP(t, status, "text/plain", words)
	}
	secure := causetest.StartTLS(t, "127.0.0.1", time.Now().AddDate(1, 0, 0), nil)
	const kept, dropped = "Until then, the data waits on disk.", "Until then, this data is dropped."
	return map[string][3]string{
		"refusing":  {"http://" + causetest.Refusing(t), "Nothing listens at $host.", "Start the backend, or fix the host and the port in the URL. " + kept},
		"hanging":   {"http://" + causetest.Mute(t), "$host accepts the connection but does not answer", kept},
		"rejecting": {answer(http.StatusBadRequest, "this is wrong"), "$host rejects the data with 400 Bad Request: “this is wrong”.", dropped},
		"private":   {answer(http.StatusUnauthorized, "who are you?"), "$host rejects the credentials, or requires some (401).", "Set or fix basic_auth, authorization or bearer_token in the endpoint. " + kept},
		"limited":   {answer(http.StatusTooManyRequests, "too much"), "$host limits the rate: “too much”.", "Raise its limits, or send less. " + kept},
		"plain":     {"https://" + causetest.HTTP(t, http.StatusNoContent, "", ""), "$host speaks plain HTTP, but the URL begins with https://.", "Write http:// in the URL. " + kept},
		"secure":    {"http://" + secure.Address, "$host speaks TLS, but the URL begins with http://.", "Write https:// in the URL. " + kept},
	}
}

// Each failing destination says why, what to do, and what happens to the data.
func TestCausesOfDestinations(t *testing.T) {
	target := harness.StartTarget(t, 5)
	all := failingDestinations(t)
	var config, to strings.Builder
	for name, d := range all {
		fmt.Fprintf(&config, "prometheus.remote_write %q {\n\tendpoint {\n\t\turl = %q\n\t\tremote_timeout = \"1m\"\n\t}\n}\n", name, d[0]+"/api/v1/write")
		fmt.Fprintf(&to, "prometheus.remote_write.%s.receiver, ", name)
	}
	c := harness.NewCollector(t, fmt.Sprintf("prometheus.scrape \"t\" {\n\ttargets = [{\"__address__\" = %q}]\n\tscrape_interval = \"1s\"\n\tscrape_timeout = \"1s\"\n\tforward_to = [%s]\n}\n%s", target.Address, to.String(), config.String()))
	c.Start(t)
	b := newBrowser(t, c.URL)
	b.open("/")
	for name, d := range all {
		_, host, _ := strings.Cut(d[0], "://")
		notice := fmt.Sprintf("[...document.querySelectorAll('.notice.bad')].find((n) => n.innerText.includes('The destination prometheus.remote_write.%s '))", name)
		b.until(notice)
		b.until(fmt.Sprintf("%s.innerText.includes(%q) && %s.querySelector('strong').innerText.trim().endsWith(%q)", notice, "is failing. "+strings.ReplaceAll(d[1], "$host", host), notice, d[2]))
		if got := b.cells("prometheus.remote_write." + name); strings.HasSuffix(got[2], "up") || inGo(got[7]) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if text := b.text(); inGo(text) || strings.Count(text, "is losing data") > 0 {
		t.Errorf("one reads an error of the library, or of a loss twice:\n%s", text)
	}
	c.Kill()
}
