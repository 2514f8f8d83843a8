package configuration_test

import (
	"net/http"
	"strings"
	"testing"

	"collector/pkg/admin/ui/uitest"
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
	if running := uitest.Get(t, u, "/configuration?version=running"); strings.Contains(running, "nonsense = ") || strings.Contains(running, `id="L15"`) {
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
	if page := uitest.Get(t, u, w.Header().Get("Location")); !strings.Contains(page, "was reloaded") || strings.Contains(page, "failed") {
		t.Error("a reload that succeeds is not told")
	}
	if w := u.Ask("POST", "/api/v1/reload"); w.Code != 200 || !strings.Contains(w.Body.String(), `"ok":true`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := u.Ask("GET", "/configuration/reload"); w.Code != 404 {
		t.Errorf("a GET reloads: %d", w.Code)
	}
}
