package listen

import (
	"net/http/httptest"
	"testing"
)

func TestBrowsersAreDistinguishedFromPrograms(t *testing.T) {
	for name, test := range map[string]struct {
		headers []string
		browser bool
	}{
		"curl":                         {[]string{"User-Agent", "curl/8.5.0", "Accept", "*/*"}, false},
		"Go":                           {[]string{"User-Agent", "Go-http-client/1.1", "Accept-Encoding", "gzip"}, false},
		"OpenTelemetry SDK":            {[]string{"User-Agent", "OTel-OTLP-Exporter-JavaScript/0.52.0", "Content-Type", "application/json"}, false},
		"Node's fetch":                 {[]string{"User-Agent", "node", "Accept-Language", "*", "Sec-Fetch-Mode", "cors"}, false},
		"Prometheus":                   {[]string{"User-Agent", "Prometheus/3.0.0", "X-Prometheus-Scrape-Timeout-Seconds", "10"}, false},
		"browser over plain HTTP":      {[]string{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}, true},
		"browser that says what it is": {[]string{"User-Agent", "x", "Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"}, true},
		"script that sets what it can": {[]string{"User-Agent", "curl/8.5.0", "Accept-Language", ""}, true},
		"post of a script":             {[]string{"User-Agent", "curl/8.5.0", "Origin", "http://evil.example"}, true},
	} {
		r := httptest.NewRequest("GET", "http://h:1/", nil)
		for i := 0; i < len(test.headers); i += 2 {
			r.Header.Set(test.headers[i], test.headers[i+1])
		}
		if FromBrowser(r) != test.browser {
			t.Errorf("%s: %v", name, !test.browser)
		}
	}
}

func TestAnotherSiteIsKnownWithoutAReferrer(t *testing.T) {
	for name, test := range map[string]struct {
		host    string
		headers []string
		refused bool
	}{
		"no browser":                       {"h:4318", nil, false},
		"own page":                         {"h:4318", []string{"Origin", "http://h:4318"}, false},
		"own page at the default port":     {"h:80", []string{"Origin", "http://h"}, false},
		"own page behind a proxy":          {"collector:4318", []string{"Origin", "https://shop.example", "Sec-Fetch-Site", "same-origin"}, false},
		"other page":                       {"h:4318", []string{"Origin", "http://evil.example"}, true},
		"other page with a referrer":       {"h:4318", []string{"Origin", "http://evil.example", "Referer", "http://h:4318/"}, true},
		"other port":                       {"h:4318", []string{"Origin", "http://h:3000"}, true},
		"page of a file":                   {"h:4318", []string{"Origin", "null"}, true},
		"other page as the browser says":   {"h:4318", []string{"Sec-Fetch-Site", "cross-site"}, true},
		"other page of the same domain":    {"h:4318", []string{"Sec-Fetch-Site", "same-site"}, true},
		"two origins, of which one is own": {"h:4318", []string{"Origin", "http://h:4318", "Origin", "http://evil.example"}, true},
	} {
		r := httptest.NewRequest("POST", "http://x/", nil)
		r.Host = test.host
		for i := 0; i < len(test.headers); i += 2 {
			r.Header.Add(test.headers[i], test.headers[i+1])
		}
		if err := OtherSite(r); (err != nil) != test.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}
