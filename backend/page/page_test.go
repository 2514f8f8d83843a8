package page

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, o Options, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	Routes(o)["GET "+path].ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func TestPageSaysWhereToSendTelemetry(t *testing.T) {
	w := get(t, Options{Name: "shop", Version: "v1", FaroURL: "https://faro.example.com/collect?a=1&b=2"}, "/shop")
	if want := `data-url="https://faro.example.com/collect?a=1&amp;b=2" data-app="shop" data-version="v1"`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("%s is not in\n%s", want, w.Body)
	}
	if got := w.Header().Get("Content-Security-Policy"); !strings.HasSuffix(got, "connect-src 'self' https://faro.example.com") {
		t.Errorf("policy %q", got)
	}
}

func TestWithoutAnAddressThePageMayOnlyAskItsOwnService(t *testing.T) {
	w := get(t, Options{Name: "shop"}, "/shop")
	if got := w.Header().Get("Content-Security-Policy"); !strings.HasSuffix(got, "connect-src 'self'") {
		t.Errorf("policy %q", got)
	}
}

func TestWhatThePageLoadsIsServed(t *testing.T) {
	scripts := regexp.MustCompile(`<script src="([^"]+)"`).FindAllStringSubmatch(get(t, Options{}, "/shop").Body.String(), -1)
	if len(scripts) != 2 {
		t.Fatalf("scripts %v", scripts)
	}
	for _, script := range scripts {
		w := get(t, Options{}, script[1])
		if w.Body.Len() == 0 || w.Header().Get("Content-Type") != "text/javascript; charset=utf-8" {
			t.Errorf("%s: %d bytes of %s", script[1], w.Body.Len(), w.Header().Get("Content-Type"))
		}
	}
}
