package api

import (
	"encoding/json"
	"html"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// outside lists what the program serves beside the API's own routes.
var outside = []string{"GET /health", "GET /metrics"}

func TestDocumentListsWhatIsServed(t *testing.T) {
	var doc document
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	var documented []string
	for path, operations := range doc.Paths {
		for method := range operations {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	served := slices.Clone(outside)
	for pattern := range newServer(t).api.Routes() {
		served = append(served, strings.TrimSuffix(pattern, "{$}"))
	}
	slices.Sort(documented)
	slices.Sort(served)
	if diff := cmp.Diff(served, documented); diff != "" {
		t.Error(diff)
	}
}

func TestDocumentsReferencesLeadSomewhere(t *testing.T) {
	var doc document
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`"\$ref": "#/components/schemas/(\w+)"`).FindAllSubmatch(openAPI, -1) {
		if _, ok := doc.Components.Schemas[string(match[1])]; !ok {
			t.Errorf("there is no schema %s", match[1])
		}
	}
}

func TestExamplesInTheDocumentWork(t *testing.T) {
	var doc document
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	for path, operations := range doc.Paths {
		for method, o := range operations {
			for _, body := range o.RequestBody.Content {
				at := strings.NewReplacer("{item_id}", "1").Replace(path)
				w := newServer(t).do(strings.ToUpper(method), at, string(body.Example))
				if _, documented := o.Responses[strconv.Itoa(w.Code)]; w.Code >= 300 || !documented {
					t.Errorf("%s %s with its example: status %d", method, at, w.Code)
				}
			}
		}
	}
}

func TestPageShowsEveryOperation(t *testing.T) {
	s := newServer(t)
	page := s.do(http.MethodGet, "/docs", "").Body.String()
	for pattern := range maps.Keys(s.api.Routes()) {
		method, path, _ := strings.Cut(strings.TrimSuffix(pattern, "{$}"), " ")
		want := `<b class="method ` + method + `">` + method + `</b> <code>` + html.EscapeString(path) + `</code>`
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %s", pattern)
		}
	}
}

func TestPageLoadsNothingFromOutside(t *testing.T) {
	w := newServer(t).do(http.MethodGet, "/docs", "")
	if got := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(got, "default-src 'none'") {
		t.Errorf("policy %q", got)
	}
	if found := regexp.MustCompile(`(?i)(https?:)?//[a-z]|<script|<link|<img|@import|url\(`).FindString(w.Body.String()); found != "" {
		t.Errorf("the page has %q", found)
	}
}
