package page

import (
	"net/url"
	"strings"
	"testing"
)

func TestFiltersThatMatchNothingKnownSaySo(t *testing.T) {
	known := Filters{"state": {"up", "down"}, "component": {"prometheus.scrape.default"}, "sort": {"url", "state"}, "service": nil, "none": {}}
	for query, want := range map[string]string{
		"state=up&sort=-url&q=x&page=2&per_page=9&service=any&component=": "",
		"state=upp":                           "The filter state=upp matches nothing that is known; did you mean up?",
		"state=bogus":                         "The filter state=bogus matches nothing that is known: use up or down.",
		"label=foo":                           "The filter label is not known here and is ignored: use component, none, service, sort or state.",
		"sort=-weather":                       "The list cannot be sorted by weather: use url or state.",
		"none=x":                              "The filter none=x matches nothing that is known.",
		"component=prometheus.scrape.defualt": "did you mean prometheus.scrape.default?",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(known.Notes(values), "\n"); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}
