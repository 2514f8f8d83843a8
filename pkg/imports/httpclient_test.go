package imports

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/filewatch"
	"collector/pkg/httpclient"
	"collector/pkg/httpclient/httpclienttest"
)

func TestModulesAreFetchedWithTheClientsSettings(t *testing.T) {
	httpclienttest.User{Default: httpclient.Default(), Run: func(ctx context.Context, t *testing.T, url string, client httpclient.Config) {
		c := httpConfig(url + "/m.alloy")
		c.Client = client
		_, _ = NewHTTP(c, component.Options{Context: ctx}) // nothing that is answered is a module
	}}.Test(t)
}

func TestAModuleIsFetchedByTheRequestAsConfigured(t *testing.T) {
	var method, body, header string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		method, body, header = r.Method, string(text), r.Header.Get("X-Own")
		_, _ = io.WriteString(w, `declare "m" { }`)
	}))
	t.Cleanup(s.Close)
	c := httpConfig(s.URL + "/m.alloy")
	c.Method, c.Body, c.Headers = http.MethodPost, "please", map[string]string{"X-Own": "1"}
	if _, err := NewHTTP(c, component.Options{}); err != nil {
		t.Fatal(err)
	}
	if method != http.MethodPost || body != "please" || header != "1" {
		t.Errorf("heard: %s %q %q", method, body, header)
	}
}

func TestAModuleIsFetchedAsOftenAsConfigured(t *testing.T) {
	polled := make(chan struct{}, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case polled <- struct{}{}:
		default:
		}
		_, _ = io.WriteString(w, `declare "m" { }`)
	}))
	t.Cleanup(s.Close)
	c := httpConfig(s.URL + "/m.alloy")
	c.PollFrequency, c.PollTimeout = 20*time.Millisecond, 10*time.Millisecond
	i, err := NewHTTP(c, component.Options{})
	for err != nil { // it took longer than the timeout
		i, err = NewHTTP(c, component.Options{})
	}
	run(t, i)
	for n := range 5 {
		select {
		case <-polled:
		case <-time.After(time.Minute):
			t.Fatalf("fetched %d times", n)
		}
	}
}

func TestARequestFailsAfterTheTimeout(t *testing.T) {
	ended := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Second): // within the default
			_, _ = io.WriteString(w, `declare "m" { }`)
		}
	}))
	t.Cleanup(s.Close)
	c := httpConfig(s.URL + "/m.alloy")
	c.PollFrequency, c.PollTimeout = time.Hour, 50*time.Millisecond
	if _, err := NewHTTP(c, component.Options{}); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("got %v", err)
	}
	<-ended
}

func TestAFileIsFollowedByEitherDetector(t *testing.T) {
	for detector, every := range map[filewatch.Detector]time.Duration{filewatch.Notify: time.Hour, filewatch.Poll: time.Millisecond} {
		path := filepath.Join(t.TempDir(), "m.alloy")
		write(t, path, "one")
		c := fileConfig(path)
		c.Detector, c.PollFrequency = detector, every
		changed := make(chan struct{}, 10)
		f, err := NewFile(c, component.Options{Changed: func() { changed <- struct{}{} }})
		if err != nil {
			t.Fatal(err)
		}
		run(t, f)
		write(t, path+".new", "two")
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
		case <-time.After(time.Minute):
			t.Fatalf("%s: the change is not noticed", detector)
		}
	}
}
