package configuration_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"collector/pkg/admin/ui"
	"collector/pkg/admin/ui/uitest"
	"collector/pkg/config"
)

func TestTheReloadButtonSaysHowItWent(t *testing.T) {
	u := uitest.New(t, uitest.Small, nil)
	u.Next = uitest.Small + "toy.sink \"c\" {\n\tnonsense = 1\n\tpassword = \"hunter2planted\"\n}\n"
	w := u.Ask("POST", "/configuration/reload")
	if w.Code != http.StatusSeeOther {
		t.Fatalf("status %d", w.Code)
	}
	page := uitest.Get(t, u, w.Header().Get("Location"))
	uitest.CheckPage(t, "after a failed reload", page)
	_, source, _ := strings.Cut(page, `<div class="scroll source"`)
	at, note := strings.Index(source, `id="L15"`), strings.Index(source, `class="note bad"`)
	if next := strings.Index(source, `id="L16"`); !strings.Contains(page, "The last reload failed") || at < 0 || note < at || next < note {
		t.Errorf("the error is not at its line: %d %d %d", at, note, next)
	}
	running, _, _ := strings.Cut(uitest.Get(t, u, "/configuration?version=running"), `<section id="history"`)
	if strings.Contains(running, "nonsense = ") || strings.Contains(running, `id="L15"`) {
		t.Error("the configuration in force is not shown as it is")
	}
	if !strings.Contains(uitest.Get(t, u, "/"), "The last reload failed") {
		t.Error("other pages do not tell of the failure")
	}
	if w := u.Ask("POST", "/api/v1/reload"); w.Code != 400 || !strings.Contains(w.Body.String(), `"line":15`) || strings.Contains(w.Body.String(), uitest.Planted) {
		t.Errorf("%d %s", w.Code, w.Body)
	}

	u.Next = uitest.Small
	w = u.Ask("POST", "/configuration/reload")
	if page := uitest.Get(t, u, w.Header().Get("Location")); !strings.Contains(page, "was reloaded") || strings.Contains(page, "The last reload failed") {
		t.Error("a reload that succeeds is not told")
	}
	if w := u.Ask("POST", "/api/v1/reload"); w.Code != 200 || !strings.Contains(w.Body.String(), `"ok":true`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := u.Ask("GET", "/configuration/reload"); w.Code != 404 {
		t.Errorf("a GET reloads: %d", w.Code)
	}
}

// For each load, the history shows who asked for it, how it ended and what changed in the
// files, without secrets.
func TestTheHistoryShowsLoadsAndDiffs(t *testing.T) {
	u := uitest.New(t, uitest.Small, nil)
	u.Next = strings.Replace(uitest.Small, `password   = "hunter2planted"`, `password   = "hunter2planted-changed"`, 1)
	u.Ask("POST", "/configuration/reload")
	u.Next = uitest.Small + "toy.sink \"c\" {\n\tnonsense = 1\n}\n"
	u.Ask("POST", "/api/v1/reload")
	page := uitest.Get(t, u, "/configuration")
	uitest.CheckPage(t, "/configuration", page)
	_, history, _ := strings.Cut(page, `<section id="history"`)
	at := 0
	for _, want := range []string{
		"HTTP POST /api/v1/reload from 192.0.2.1", "failed", "nonsense", "3 components unchanged", "1 file: +4 −1 lines", "+ \tnonsense = 1",
		"the Reload button from 192.0.2.1", "loaded", "rebuilt: ", `href="/component/toy.source.a"`, "2 components unchanged", "1 file: +1 −1 lines", `<div class="line removed"><span class="no">4</span>− `, "****",
		">start<", "added: ",
	} {
		i := strings.Index(history[at:], want)
		if i < 0 {
			t.Fatalf("no %q after %.2000s", want, history[at:])
		}
		at += i
	}
	if text := uitest.Get(t, u, "/api/v1/configuration"); !strings.Contains(text, `"history":[{"at":"`) || !strings.Contains(text, `"by":"the Reload button from 192.0.2.1"`) || strings.Contains(text, `"onDisk"`) {
		t.Errorf("%s", text)
	}
}

func TestThePageSaysHowTheDiskDiffers(t *testing.T) {
	files, failure := []config.FileDiff{{Name: "c.alloy", Change: "changed", Added: 1, Lines: []config.DiffLine{{Kind: " ", Old: 9, New: 9, Text: "before"}, {Kind: "+", New: 10, Text: "<new>"}}, More: 7}}, error(nil)
	u := uitest.New(t, uitest.Small, func(o *ui.Options) { o.OnDisk = func() ([]config.FileDiff, error) { return files, failure } })
	page := uitest.Get(t, u, "/configuration")
	uitest.CheckPage(t, "/configuration", page)
	for _, want := range []string{"The configuration on disk differs from the running one.", "1 file: +1 −0 lines", "+ &lt;new&gt;", "7 more lines", "⋯"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
	if text := uitest.Get(t, u, "/api/v1/configuration"); !strings.Contains(text, `"onDisk":{"differs":true,"files":[{"name":"c.alloy"`) {
		t.Errorf("%s", text)
	}
	files, failure = nil, errors.New("no such file")
	if page := uitest.Get(t, u, "/configuration"); !strings.Contains(page, "cannot be read: no such file") {
		t.Errorf("%s", page)
	}
	failure = nil
	if page := uitest.Get(t, u, "/configuration"); strings.Contains(page, "on disk") {
		t.Errorf("%s", page)
	}
}
