package ui_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"collector/pkg/admin/ui"
	"collector/pkg/admin/ui/uitest"
)

func TestEveryPageIsSoundAndHasAnAPI(t *testing.T) {
	u := uitest.New(t, uitest.Small, func(o *ui.Options) {
		o.Rates = uitest.Rates{{From: "toy.source.a", To: "toy.sink.b", Signal: "logs", ItemsPerSecond: 12.5}}
	})
	for path, wants := range map[string][]string{
		"/":                       {"toy.sink.b", "the &lt;b&gt;disk&lt;/b&gt; is full"},
		"/graph":                  {`href="/component/toy.source.a"`, "12.5 lines/s", "Not connected", "toy.sink.alone"},
		"/graph?focus=toy.sink.b": {"Connected to ", "toy.source.a"},
		"/components":             {"unhealthy", "toy.sink.alone"},
		"/components?q=alone":     {"toy.sink.alone", `value="alone"`},
		"/component/toy.source.a": {"(secret)", "toy_lines_total", "1,234,567", "/configuration?file=dir%2Fc.alloy#L2", "x:1", "&lt;script&gt;", "http://user:(secret)@host"},
		"/component/toy.sink.b":   {"referenced by", "toy.source.a", "the &lt;b&gt;disk"},
		"/configuration":          {`id="L3"`, `<span class="t-block">toy</span>`, "***"},
		"/targets":                {"Targets", "/targets/logs"},
		"/targets/logs":           {"Log tails"},
		"/relabel":                {"Relabel"},
		"/stages":                 {"Stages", "loki.relabel does is on the Relabel page"},
	} {
		page := uitest.Get(t, u, path)
		uitest.CheckPage(t, path, page)
		for _, want := range wants {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %s", path, want)
			}
		}
	}
	for path, wants := range map[string][]string{
		"/api/v1/overview":                {`"unhealthy":1`},
		"/api/v1/graph":                   {`"itemsPerSecond":12.5`, `"from":"toy.source.a"`},
		"/api/v1/components?per_page=1":   {`"total":3`, `"pages":3`},
		"/api/v1/components/toy.source.a": {`"toy_lines_total"`, `"healthHistory":[`, `"(secret)"`},
		"/api/v1/configuration":           {`"name":"dir/c.alloy"`, "toy.source"},
	} {
		text := uitest.Get(t, u, path)
		if !json.Valid([]byte(text)) {
			t.Errorf("%s is not JSON: %s", path, text)
		}
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %s in %s", path, want, text)
			}
		}
	}
}

func TestMissingPagesAreNotFound(t *testing.T) {
	u := uitest.New(t, uitest.Small, nil)
	for path, status := range map[string]int{
		"/component/nobody": 404, "/graph?focus=nobody": 404, "/nothing": 404, "/api/v1/components/nobody": 404, "/api/v1/nothing": 404, "/assets/none.js": 404, "/assets/../ui.go": 307,
	} {
		w := u.Ask("GET", path)
		if w.Code != status {
			t.Errorf("%s: status %d", path, w.Code)
		}
		if strings.HasPrefix(path, "/api/") {
			if !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s: %s", path, w.Body)
			}
		} else if w.Code == 404 && !strings.HasPrefix(path, "/assets") {
			uitest.CheckPage(t, path, w.Body.String())
		}
	}
}

func TestEveryLinkCarriesThePrefix(t *testing.T) {
	u := uitest.New(t, uitest.Small, func(o *ui.Options) { o.Prefix = "/a/b" })
	if to := u.Ask("POST", "/configuration/reload").Header().Get("Location"); !strings.HasPrefix(to, "/a/b/") {
		t.Errorf("the reload button leads to %q", to)
	}
	for _, path := range []string{"/", "/graph", "/components?page=1", "/component/toy.source.a", "/configuration"} {
		for _, attribute := range []string{"href", "src", "action"} {
			for _, part := range strings.Split(uitest.Get(t, u, path), attribute+`="`)[1:] {
				if link, _, _ := strings.Cut(part, `"`); !strings.HasPrefix(link, "/a/b/") && !strings.HasPrefix(link, "#") {
					t.Errorf("%s: %s=%q", path, attribute, link)
				}
			}
		}
	}
}

func TestAPageStaysSmallWithThousandsOfComponents(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "toy.source \"source_with_a_long_name_%d\" {\n\tforward_to = [toy.sink.sink_with_a_long_name_%d.receiver]\n\tsick = %q\n}\n", i, i, strings.Repeat("long ", 100))
		fmt.Fprintf(&b, "toy.sink \"sink_with_a_long_name_%d\" { }\n", i)
	}
	u := uitest.New(t, b.String(), nil)
	for _, path := range []string{"/", "/graph", "/graph?focus=toy.sink.sink_with_a_long_name_7", "/components", "/components?page=10&sort=-id", "/configuration", "/configuration?file=dir%2Fc.alloy&from=4801"} {
		page := uitest.Get(t, u, path)
		uitest.CheckPage(t, path, page)
		if len(page) > uitest.MaxPage {
			t.Errorf("%s has %d bytes", path, len(page))
		}
	}
	if page := uitest.Get(t, u, "/graph"); !strings.Contains(page, "1,000 components") || !strings.Contains(page, "/components?q=toy.sink") {
		t.Error("the graph does not group components")
	}
	if page := uitest.Get(t, u, "/components"); !strings.Contains(page, "Page 1 of 10") {
		t.Error("the list is not paged")
	}
}

func TestAssetsAreKeptByTheirDigest(t *testing.T) {
	u := uitest.New(t, uitest.Small, nil)
	_, link, _ := strings.Cut(uitest.Get(t, u, "/"), `<link rel="stylesheet" href="`)
	link, _, _ = strings.Cut(link, `"`)
	w := u.Ask("GET", link)
	if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := u.Ask("GET", "/assets/style.css"); w.Header().Get("Cache-Control") != "no-cache" || w.Header().Get("ETag") == "" {
		t.Errorf("%v", w.Header())
	}
}
