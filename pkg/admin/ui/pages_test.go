package ui

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const small = `// password = "hunter2planted"
toy.source "a" {
	endpoint   = "http://user:hunter2planted@host/<script>alert(1)</script>"
	password   = "hunter2planted"
	values     = [{"__address__" = "x:1", "job" = "j", "api_key" = "hunter2planted"}]
	forward_to = [toy.sink.b.receiver]
}

toy.sink "b" {
	sick = "the <b>disk</b> is full"
}

toy.sink "alone" { }
`

type rates []EdgeRate

func (r rates) EdgeRates() []EdgeRate { return r }

func TestEveryPageIsSoundAndHasAnAPI(t *testing.T) {
	u := newTestUI(t, small, func(o *Options) {
		o.Rates = rates{{From: "toy.source.a", To: "toy.sink.b", Signal: "logs", ItemsPerSecond: 12.5}}
	})
	for path, wants := range map[string][]string{
		"/":                       {"toy.sink.b", "the &lt;b&gt;disk&lt;/b&gt; is full"},
		"/graph":                  {`href="/component/toy.source.a"`, "12.5 lines/s", "Without any flow of data", "toy.sink.alone"},
		"/graph?focus=toy.sink.b": {"What is connected with", "toy.source.a"},
		"/components":             {"unhealthy", "toy.sink.alone"},
		"/components?q=alone":     {"toy.sink.alone", `value="alone"`},
		"/component/toy.source.a": {"(secret)", "toy_lines_total", "1\u202f234\u202f567", "/configuration?file=dir%2Fc.alloy#L2", "x:1", "&lt;script&gt;", "http://user:(secret)@host"},
		"/component/toy.sink.b":   {"is referred to by", "toy.source.a", "the &lt;b&gt;disk"},
		"/configuration":          {`id="L3"`, `<span class="t-block">toy</span>`, "***"},
		"/targets":                {"Targets", "/targets/logs"},
		"/targets/logs":           {"Log tails"},
		"/relabel":                {"Relabel"},
	} {
		page := get(t, u, path)
		checkPage(t, path, page)
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
		text := get(t, u, path)
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

func TestWhatIsNotThere(t *testing.T) {
	u := newTestUI(t, small, nil)
	for path, status := range map[string]int{
		"/component/nobody": 404, "/graph?focus=nobody": 404, "/nothing": 404, "/api/v1/components/nobody": 404, "/api/v1/nothing": 404, "/assets/none.js": 404, "/assets/../ui.go": 307,
	} {
		w := u.ask("GET", path)
		if w.Code != status {
			t.Errorf("%s: status %d", path, w.Code)
		}
		if strings.HasPrefix(path, "/api/") {
			if !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s: %s", path, w.Body)
			}
		} else if w.Code == 404 && !strings.HasPrefix(path, "/assets") {
			checkPage(t, path, w.Body.String())
		}
	}
}

func TestEveryLinkCarriesThePrefix(t *testing.T) {
	u := newTestUI(t, small, func(o *Options) { o.Prefix = "/a/b" })
	if to := u.ask("POST", "/configuration/reload").Header().Get("Location"); !strings.HasPrefix(to, "/a/b/") {
		t.Errorf("the reload button leads to %q", to)
	}
	for _, path := range []string{"/", "/graph", "/components?page=1", "/component/toy.source.a", "/configuration"} {
		for _, attribute := range []string{"href", "src", "action"} {
			for _, part := range strings.Split(get(t, u, path), attribute+`="`)[1:] {
				if link, _, _ := strings.Cut(part, `"`); !strings.HasPrefix(link, "/a/b/") && !strings.HasPrefix(link, "#") {
					t.Errorf("%s: %s=%q", path, attribute, link)
				}
			}
		}
	}
}

// maxPage is what a page may be large, as it is sent without compression.
const maxPage = 500 << 10

func TestAPageStaysSmallWithThousandsOfComponents(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "toy.source \"source_with_a_long_name_%d\" {\n\tforward_to = [toy.sink.sink_with_a_long_name_%d.receiver]\n\tsick = %q\n}\n", i, i, strings.Repeat("long ", 100))
		fmt.Fprintf(&b, "toy.sink \"sink_with_a_long_name_%d\" { }\n", i)
	}
	u := newTestUI(t, b.String(), nil)
	for _, path := range []string{"/", "/graph", "/graph?focus=toy.sink.sink_with_a_long_name_7", "/components", "/components?page=10&sort=-id", "/configuration", "/configuration?file=dir%2Fc.alloy&from=4801"} {
		page := get(t, u, path)
		checkPage(t, path, page)
		if len(page) > maxPage {
			t.Errorf("%s has %d bytes", path, len(page))
		}
	}
	if page := get(t, u, "/graph"); !strings.Contains(page, "1\u202f000 components") || !strings.Contains(page, "/components?q=toy.sink") {
		t.Error("the graph does not group components")
	}
	if page := get(t, u, "/components"); !strings.Contains(page, "Page 1 of 10") {
		t.Error("the list is not paged")
	}
}

func TestAComponentPageStaysSmallWithThousandsOfTargets(t *testing.T) {
	var b strings.Builder
	b.WriteString("toy.source \"a\" {\n\tvalues = [\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "\t\t{\"__address__\" = \"10.0.0.%d:80\", \"long\" = %q},\n", i, strings.Repeat("x", 300))
	}
	fmt.Fprintf(&b, "\t\t{\"huge\" = %q},\n\t]\n}\n", strings.Repeat("y", 1<<18))
	u := newTestUI(t, b.String(), nil)
	page := get(t, u, "/component/toy.source.a")
	checkPage(t, "component", page)
	if len(page) > maxPage || !strings.Contains(page, "all of it as JSON") || !strings.Contains(page, `href="/api/v1/components/toy.source.a"`) {
		t.Errorf("%d bytes, or no link to all of it", len(page))
	}
	if page := get(t, u, "/configuration?file=dir%2Fc.alloy&from=1601"); len(page) > maxPage {
		t.Errorf("the configuration has %d bytes", len(page))
	}
}

func TestTheReloadButtonSaysHowItWent(t *testing.T) {
	u := newTestUI(t, small, nil)
	u.next = small + "toy.sink \"c\" {\n\tnonsense = 1\n\tpassword = \"hunter2planted\"\n}\n"
	w := u.ask("POST", "/configuration/reload")
	if w.Code != http.StatusSeeOther {
		t.Fatalf("status %d", w.Code)
	}
	page := get(t, u, w.Header().Get("Location"))
	checkPage(t, "after a failed reload", page)
	_, source, _ := strings.Cut(page, `<div class="scroll source"`)
	at, note := strings.Index(source, `id="L15"`), strings.Index(source, `class="note bad"`)
	if next := strings.Index(source, `id="L16"`); !strings.Contains(page, "The last reload failed") || at < 0 || note < at || next < note {
		t.Errorf("the error does not stand at its line: %d %d %d", at, note, next)
	}
	if running := get(t, u, "/configuration?version=running"); strings.Contains(running, "nonsense = ") || strings.Contains(running, `id="L15"`) {
		t.Error("the configuration in force is not shown as it is")
	}
	if !strings.Contains(get(t, u, "/"), "The last reload failed") {
		t.Error("other pages do not tell of the failure")
	}
	if w := u.ask("POST", "/api/v1/reload"); w.Code != 400 || !strings.Contains(w.Body.String(), `"line":15`) || strings.Contains(w.Body.String(), planted) {
		t.Errorf("%d %s", w.Code, w.Body)
	}

	u.next = small
	w = u.ask("POST", "/configuration/reload")
	if page := get(t, u, w.Header().Get("Location")); !strings.Contains(page, "was reloaded") || strings.Contains(page, "failed") {
		t.Error("a reload that succeeds is not told")
	}
	if w := u.ask("POST", "/api/v1/reload"); w.Code != 200 || !strings.Contains(w.Body.String(), `"ok":true`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := u.ask("GET", "/configuration/reload"); w.Code != 404 {
		t.Errorf("a GET reloads: %d", w.Code)
	}
}

func TestAssetsAreKeptByTheirDigest(t *testing.T) {
	u := newTestUI(t, small, nil)
	w := u.ask("GET", u.asset("style.css"))
	if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := u.ask("GET", "/assets/style.css"); w.Header().Get("Cache-Control") != "no-cache" || w.Header().Get("ETag") == "" {
		t.Errorf("%v", w.Header())
	}
}
