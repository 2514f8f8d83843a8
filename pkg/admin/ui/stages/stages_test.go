package stages_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/admin/ui/stages"
	"collector/pkg/admin/ui/uitest"
	"collector/pkg/inspect"
	"collector/pkg/pipeline"
)

// toy has two stages: the first extracts a password, the second drops lines with "drop"
// in them.
func toy(lines ...string) inspect.Stages {
	var recent []inspect.LogSample
	for i, line := range lines {
		recent = append(recent, inspect.LogSample{
			ID: uint64(len(lines) - i), Came: time.Now(), Labels: labels.FromStrings("app", "shop", "api_token", uitest.Planted), Entry: pipeline.Entry{Time: time.Unix(1, 0), Line: line},
		})
	}
	return inspect.Stages{
		Component: "loki.process.toy",
		List:      []inspect.Stage{{Name: "stage.json", File: "c.alloy", Line: 3}, {Name: "stage.drop", File: "c.alloy", Line: 7, Depth: 1}},
		Recent:    func() []inspect.LogSample { return recent },
		Trace: func(_ context.Context, in []inspect.StagedEntry) (t inspect.StageTrace, err error) {
			for i, e := range in {
				if e.Line == "fail" {
					return t, errors.New("it fails at http://u:" + uitest.Planted + "@h/")
				}
				name := string(rune('1' + i))
				t.Steps = append(t.Steps, inspect.StageStep{Entry: name, Outcome: inspect.StagePassed, Words: "It found " + e.Line + ".", Changes: []inspect.StageChange{
					{What: inspect.ChangedExtracted, Name: "password", After: uitest.Planted, Added: true}, {What: inspect.ChangedLabel, Name: "__tenant_id__", After: "t1", Added: true},
				}})
				if strings.Contains(e.Line, "drop") {
					t.Steps = append(t.Steps, inspect.StageStep{Stage: 1, Entry: name, Outcome: inspect.StageDropped, Reason: "useless"})
					continue
				}
				t.Steps = append(t.Steps, inspect.StageStep{Stage: 1, Entry: name, Outcome: inspect.StagePassed})
				t.Output = append(t.Output, inspect.StagedEntry{Name: name, Labels: labels.FromStrings("app", "shop", "__tenant_id__", "t1"), Entry: e.Entry})
			}
			return t, nil
		},
	}
}

const path = "/stages/loki.process.toy"

func newUI(t *testing.T, lines ...string) *uitest.UI {
	return uitest.New(t, uitest.Small, uitest.Having(&uitest.Stock{Staged: []inspect.Stages{toy(lines...)}}))
}

func contains(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestThePageTracesTheLastLine(t *testing.T) {
	u := newUI(t, "a <b> "+uitest.Planted, "drop it")
	list := uitest.Get(t, u, "/stages")
	uitest.CheckPage(t, "/stages", list)
	contains(t, list, `href="/stages/loki.process.toy"`, "stage.json, stage.drop")
	page := uitest.Get(t, u, path)
	uitest.CheckPage(t, path, page)
	contains(t, page, "a &lt;b&gt; (secret)", "1: stage.json", "2: stage.drop", `href="/configuration?file=c.alloy#L3"`, "c.alloy, line 7", "inside-1", "tenant", "changes 1 label, 1 extracted value",
		"dropped by stage 2, stage.drop (reason: useless)", `?entry=1"`, "What comes out", "Passes.")
	contains(t, page, `<dt>time</dt><dd><time datetime="1970-01-01T00:00:01Z" data-exact="" title="1970-01-01 00:00:01.000 UTC">1970-01-01 00:00:01.000 UTC</time>`)
	page = uitest.Get(t, u, path+"?entry=1")
	uitest.CheckPage(t, path, page)
	contains(t, page, "Dropped by stage 2, stage.drop (reason: useless).", "dropped here, reason: useless")
	if strings.Contains(page, "What comes out") {
		t.Error("a line that is dropped comes out")
	}
	var m stages.Trace
	if err := json.Unmarshal([]byte(uitest.Get(t, u, "/api/v1"+path)), &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Stages) != 2 || len(m.Recent) != 2 || m.Recent[1].Outcome != "dropped" || len(m.Entries) != 1 || len(m.Entries[0].Steps) != 2 || m.Input[0].Labels["api_token"] != "(secret)" ||
		m.Output[0].Tenant != "t1" || m.Entries[0].Steps[0].Changes[0].After != "(secret)" || m.Entries[0].Steps[1].File != "c.alloy" || m.Entries[0].Steps[1].Line != 7 {
		t.Errorf("%+v", m)
	}
	for _, missing := range []string{"/stages/nobody", path + "?entry=99"} {
		if w := u.Ask("GET", missing); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", missing, w.Code)
		}
	}
	plain := toy()
	plain.List, plain.Component = nil, "loki.process.plain"
	text := uitest.Get(t, uitest.New(t, uitest.Small, uitest.Having(&uitest.Stock{Staged: []inspect.Stages{plain}})), "/stages/loki.process.plain")
	contains(t, text, "has no stages: every line passes as it is")
	quiet := uitest.Get(t, newUI(t), path)
	uitest.CheckPage(t, path, quiet)
	contains(t, quiet, "No line has come in yet.", `data-refresh="5"`)
}

// Times that a stage changes are shown in the time zone of the page, unless they differ
// by less than a millisecond.
func TestChangedTimesAreShownInTheZoneOfThePage(t *testing.T) {
	for after, wants := range map[string][]string{
		"1970-01-02T00:00:00Z":           {`>1970-01-01 00:00:01.000 UTC</time>`, `<time datetime="1970-01-02T00:00:00Z" data-exact=""`},
		"1970-01-01T00:00:01.000000005Z": {`<code>1970-01-01T00:00:01Z</code>`, `<code>1970-01-01T00:00:01.000000005Z</code>`},
	} {
		of := toy("x")
		of.Trace = func(context.Context, []inspect.StagedEntry) (inspect.StageTrace, error) {
			change := inspect.StageChange{What: inspect.ChangedTime, Before: "1970-01-01T00:00:01Z", After: after}
			return inspect.StageTrace{Steps: []inspect.StageStep{{Entry: "1", Outcome: inspect.StagePassed, Changes: []inspect.StageChange{change}}}}, nil
		}
		page := uitest.Get(t, uitest.New(t, uitest.Small, uitest.Having(&uitest.Stock{Staged: []inspect.Stages{of}})), path)
		uitest.CheckPage(t, path, page)
		contains(t, page, wants...)
	}
}

func post(u *uitest.UI, path, kind, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	u.Mux.ServeHTTP(w, r)
	return w
}

func TestTypedLinesGoThroughTheStages(t *testing.T) {
	u := newUI(t)
	form := url.Values{"lines": {"one\r\ndrop two\r\n"}, "labels": {"app = shop\nkey_file=x=y"}, "metadata": {`{user="eve", "n": 1}`}}
	if w := post(u, path, "application/x-www-form-urlencoded", form.Encode()); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "structured metadata: cannot read") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	form.Set("metadata", `{user="e\"ve"}`)
	w := post(u, path, "application/x-www-form-urlencoded", form.Encode())
	page := w.Body.String()
	uitest.CheckPage(t, path, page)
	contains(t, page, "Line 1", "Line 2", "Dropped by stage 2", "key_file=&#34;x=y&#34;", `user=&#34;e\&#34;ve&#34;`, "one\ndrop two</textarea>", "What comes out")
	form.Set("whole", "1")
	page = post(u, path, "application/x-www-form-urlencoded", form.Encode()).Body.String()
	if strings.Contains(page, "Line 2") {
		t.Error("one line of several is taken as several")
	}
	w = post(u, "/api/v1"+path, "application/json", `{"lines": ["one", "drop two"], "labels": {"app": "x"}, "time": "2026-01-02T03:04:05Z"}`)
	var m stages.Trace
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || len(m.Entries) != 2 || m.Entries[1].Verdict != "dropped by stage 2, stage.drop (reason: useless)" || m.Input[0].Time.Year() != 2026 || len(m.Output) != 1 {
		t.Errorf("%v %+v", err, m)
	}
	for body, want := range map[string]string{
		"": "the request has no body", "{}": "There is no line to try", `{"line": "x"}`: "unknown field", `{"lines": ["` + strings.Repeat("x", 70_000) + `"]}`: "larger than 64 KiB",
		`{"lines": [` + strings.Repeat(`"",`, 200) + `""]}`: "at most 200",
	} {
		if w := post(u, "/api/v1"+path, "application/json", body); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%.40s: status %d: %s", body, w.Code, w.Body)
		}
	}
	w = post(u, path, "application/json", `{"lines": ["fail"]}`)
	uitest.CheckPage(t, path, w.Body.String())
	if contains(t, w.Body.String(), "it fails at http://u:(secret)@h/"); strings.Contains(w.Body.String(), uitest.Planted) {
		t.Error("an error shows a secret")
	}
}

// A page stays small, however much a line holds.
func TestThePageStaysSmall(t *testing.T) {
	u := newUI(t)
	body, err := json.Marshal(map[string]any{"lines": []string{strings.Repeat("<", 50_000), strings.Repeat("<", 10_000)}})
	if err != nil {
		t.Fatal(err)
	}
	page := post(u, path, "application/json", string(body)).Body.String()
	uitest.CheckPage(t, path, page)
	if len(page) > uitest.MaxPage {
		t.Errorf("%d bytes", len(page))
	}
}

// The page of a component, the graph and the live view lead to its stages.
func TestPagesLeadToTheStages(t *testing.T) {
	s := toy("x")
	s.Component = "toy.sink.b"
	u := uitest.New(t, uitest.Forked, uitest.Having(&uitest.Stock{Staged: []inspect.Stages{s}, Tails: []inspect.LogTail{{Component: "toy.source.a"}}}))
	for path, want := range map[string]string{
		"/component/toy.sink.b":   `href="/stages/toy.sink.b"`,
		"/component/toy.source.a": `href="/targets/logs?component=toy.source.a"`,
		"/graph":                  `href="/stages/toy.sink.b"`,
		"/live?to=toy.sink.b":     `data-staged="toy.sink.b"`,
	} {
		page := uitest.Get(t, u, path)
		uitest.CheckPage(t, path, page)
		contains(t, page, want)
	}
	if page := uitest.Get(t, u, "/component/toy.sink.c"); strings.Contains(page, `href="/stages/toy`) {
		t.Error("a component without stages leads to some")
	}
}

// What a stage quotes is cut after secrets are hidden: half a secret would not be
// recognized.
func TestALongSecretIsHiddenInWhatAStageQuotes(t *testing.T) {
	secret, long := strings.Repeat("se-cret.", 100), strings.Repeat("x", 5000)
	toy := toy()
	toy.Trace = func(_ context.Context, in []inspect.StagedEntry) (t inspect.StageTrace, err error) {
		t.Steps = []inspect.StageStep{
			{Entry: "1", Outcome: inspect.StagePassed, Changes: []inspect.StageChange{{What: inspect.ChangedExtracted, Name: "token", After: secret, Added: true}}},
			{Entry: "1", Stage: 1, Outcome: inspect.StagePassed, Words: "“" + secret + "” is not a time, and “" + long + "” is not “short”."},
		}
		return t, nil
	}
	u := uitest.New(t, uitest.Small, uitest.Having(&uitest.Stock{Staged: []inspect.Stages{toy}}))
	answer := post(u, "/api/v1"+path, "application/json", `{"lines": ["one"]}`).Body.String()
	contains(t, answer, "“(secret)” is not a time, and “"+strings.Repeat("x", 200)+"…” is not “short”.")
	shown := post(u, path, "application/x-www-form-urlencoded", "lines=one").Body.String()
	contains(t, shown, "“(secret)” is not a time")
	for _, text := range []string{answer, shown} {
		if strings.Contains(text, "se-cret") {
			t.Error("a secret is shown")
		}
	}
}
