package imports

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"collector/pkg/component"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// run runs c until the test ends.
func run(t *testing.T, c component.Component) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
}

func text(m component.Module) string {
	var all []string
	for _, f := range m.Files {
		all = append(all, string(f.Text))
	}
	return strings.Join(all, "|")
}

func fileConfig(path string) FileConfig {
	var c FileConfig
	c.SetToDefault()
	c.Filename, c.PollFrequency = path, 5*time.Millisecond
	return c
}

func TestAModuleIsAFileOrAFolderAndIsFollowed(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a.alloy")
	write(t, path, "a")
	write(t, filepath.Join(folder, "b.alloy"), "b")
	write(t, filepath.Join(folder, "c.txt"), "c")
	for at, want := range map[string]string{path: "a", folder: "a|b"} {
		changed := make(chan struct{}, 10)
		f, err := NewFile(fileConfig(at), component.Options{Changed: func() { changed <- struct{}{} }})
		if err != nil {
			t.Fatal(err)
		}
		m := f.Module()
		if text(m) != want || m.Path != folder || m.Key != at {
			t.Errorf("%s is %+v", at, m)
		}
		run(t, f)
		write(t, path, "new")
		<-changed
		for !strings.HasPrefix(text(f.Module()), "new") { // written in two steps, it changes twice
			<-changed
		}
		write(t, path, "a")
		for text(f.Module()) != want {
			<-changed
		}
	}
}

func TestAModuleThatDisappearsStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.alloy")
	if _, err := NewFile(fileConfig(path), component.Options{}); !component.Lacks(err) {
		t.Errorf("without the file: %v", err)
	}
	write(t, path, "m")
	f, err := NewFile(fileConfig(path), component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	f.look()
	if f.Health() == nil || text(f.Module()) != "m" {
		t.Errorf("health %v, module %q", f.Health(), text(f.Module()))
	}
}

// server serves a module, or an error while the text is empty.
func server(t *testing.T) (url string, module *atomic.Pointer[string]) {
	t.Helper()
	module = &atomic.Pointer[string]{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := module.Load()
		if m == nil || r.Header.Get("X-Key") != "k" {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte(*m))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/modules/m.alloy", module
}

func httpConfig(url string) HTTPConfig {
	var c HTTPConfig
	c.SetToDefault()
	c.URL, c.Headers = url, map[string]string{"X-Key": "k"}
	return c
}

func TestAModuleOfAServerOutlivesIt(t *testing.T) {
	url, module := server(t)
	o := component.Options{Dir: filepath.Join(t.TempDir(), "import.http.m")}
	if _, err := NewHTTP(httpConfig(url), o); !component.Lacks(err) || !strings.Contains(err.Error(), "503") {
		t.Errorf("without a server and a cache: %v", err)
	}
	one, two := `declare "one" { }`, `declare "two" { }`
	module.Store(&one)
	changes := 0
	o.Changed = func() { changes++ }
	i, err := NewHTTP(httpConfig(url), o)
	if err != nil {
		t.Fatal(err)
	}
	if m := i.Module(); text(m) != one || !strings.HasSuffix(m.Path, "/modules/") {
		t.Errorf("the module is %+v", m)
	}
	module.Store(&two)
	i.Keep(i.Module())
	i.look(t.Context())
	i.look(t.Context())
	if text(i.Module()) != two || changes != 1 {
		t.Errorf("the module is %q after %d changes", text(i.Module()), changes)
	}
	module.Store(nil)
	i.look(t.Context())
	if i.Health() == nil || text(i.Module()) != two {
		t.Errorf("health %v, module %q", i.Health(), text(i.Module()))
	}
	again, err := NewHTTP(httpConfig(url), o) // as after a restart
	if err != nil || text(again.Module()) != one {
		t.Fatalf("one that has not been in force is kept: %v", err)
	}
	i.Keep(i.Module())
	again, err = NewHTTP(httpConfig(url), o)
	if err != nil || text(again.Module()) != two || again.Health() == nil {
		t.Fatalf("from the cache: %v", err)
	}
	if _, err := NewHTTP(httpConfig(url+"?other"), o); err == nil {
		t.Error("the cache serves another URL")
	}
}

func TestAPageAboutMaintenanceIsNoModule(t *testing.T) {
	for _, page := range []string{"<html><body>We will be back soon.</body></html>", "", "\n", `declare "cut" {`} {
		url, module := server(t)
		o := component.Options{Dir: filepath.Join(t.TempDir(), "import.http.m"), Changed: func() { t.Errorf("%q is a change", page) }}
		good := `declare "good" { }`
		module.Store(&good)
		i, err := NewHTTP(httpConfig(url), o)
		if err != nil {
			t.Fatal(err)
		}
		i.Keep(i.Module())
		module.Store(&page)
		i.look(t.Context())
		if i.Health() == nil || text(i.Module()) != good {
			t.Errorf("after %q: health %v, module %q", page, i.Health(), text(i.Module()))
		}
		i.Keep(i.Module())
		for _, at := range []string{"with the page", "without the server"} {
			again, err := NewHTTP(httpConfig(url), o) // as after a restart
			if err != nil || text(again.Module()) != good || again.Health() == nil {
				t.Errorf("after %q, a start %s: %v", page, at, err)
			}
			module.Store(nil)
		}
	}
}

func TestAPollThatCannotWorkIsRejected(t *testing.T) {
	for name, change := range map[string]func(*HTTPConfig){
		"poll_frequency": func(c *HTTPConfig) { c.PollFrequency = 0 },
		"poll_timeout":   func(c *HTTPConfig) { c.PollTimeout = time.Hour },
		"url":            func(c *HTTPConfig) { c.URL = "h/m" },
		"method":         func(c *HTTPConfig) { c.Method = "A B" },
	} {
		c := httpConfig("http://h/m")
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := FileConfig{}
	if c.Validate() == nil {
		t.Error("a poll frequency of 0 is accepted")
	}
}

func TestATextIsAModule(t *testing.T) {
	s, err := NewString(StringConfig{Content: "m"}, component.Options{ID: "import.string.s"})
	if err != nil || text(s.Module()) != "m" {
		t.Errorf("%v, %v", s, err)
	}
}
