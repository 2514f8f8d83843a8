package profiles

import (
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/grafana/pyroscope/api/model/labelset"
)

func rewriteName(name string, external map[string]string) (string, error) {
	return changeName(name, ingested(false, external))
}

func rewriteQuery(query string, external map[string]string) (string, error) {
	return changeQuery(query, ingested(false, external))
}

func TestRewriteName(t *testing.T) {
	f := func(name string, external map[string]string, want string) {
		t.Helper()
		got, err := rewriteName(name, external)
		if err != nil {
			t.Errorf("rewriteName(%q): %v", name, err)
		} else if got != want {
			t.Errorf("rewriteName(%q) = %q, want %q", name, got, want)
		}
	}
	// The application name becomes the service name.
	f("app", nil, "app{service_name=app}")
	f("backend.cpu{seq=1}", nil, "backend.cpu{seq=1,service_name=backend.cpu}")
	f(" app { b = 2 , a = 1 } ", nil, "app{a=1,b=2,service_name=app}")
	// A service name stays, and is in front.
	f("app{service_name=svc}", nil, "svc{app_name=app,service_name=svc}")
	f("app{service_name=svc,app_name=old}", nil, "svc{app_name=app,service_name=svc}")
	f("app{service_name=My Service}", nil, "app{app_name=app,service_name=My Service}")
	f("app{service_name=}", nil, "app{app_name=app}")
	// Values may hold nearly anything.
	f("a/b-c.d{path=/x/y.z,q={a=b,u=http://h:1/?a=b}", nil, "a/b-c.d{path=/x/y.z,q={a=b,service_name=a/b-c.d,u=http://h:1/?a=b}")
	f("app{v=grüße}", nil, "app{service_name=app,v=grüße}")
	// External labels replace, an empty one removes.
	f("app{region=eu}", map[string]string{"region": "us", "host": "h1"}, "app{host=h1,region=us,service_name=app}")
	f("app{region=eu}", map[string]string{"region": ""}, "app{service_name=app}")
	f("app", map[string]string{"service_name": "svc"}, "app{service_name=svc}")
	// What is complete already stays as it is, byte for byte.
	f("app{service_name=app, app_name=app,}", nil, "app{service_name=app, app_name=app,}")
	// Pyroscope skips what does not end.
	f("app{a=1", nil, "app{service_name=app}")
	f("app{invalid-label}", nil, "app{service_name=app}")
}

func TestRewriteNameRejectsWhatPyroscopeWould(t *testing.T) {
	for _, name := range []string{"", "{}", "{a=b}", "my app", "a\npp", "app{a b=1}", "app{=1}", "app{__name__=}", "app{__name__=a b}", "app{a-b=1}", "\xff"} {
		if got, err := rewriteName(name, nil); err == nil {
			t.Errorf("rewriteName(%q) = %q, want an error", name, got)
		}
	}
}

func TestRewriteQueryTouchesTheNameAlone(t *testing.T) {
	f := func(query, want string) {
		t.Helper()
		got, err := rewriteQuery(query, nil)
		if err != nil {
			t.Errorf("rewriteQuery(%q): %v", query, err)
		} else if got != want {
			t.Errorf("rewriteQuery(%q) = %q, want %q", query, got, want)
		}
	}
	f("from=1&name=app&until=2", "from=1&name=app%7Bservice_name%3Dapp%7D&until=2")
	f("until=2&name=app%7Ba%3D%2Fb%7D&from=1&x=%2f+%20&y", "until=2&name=app%7Ba%3D%2Fb%2Cservice_name%3Dapp%7D&from=1&x=%2f+%20&y")
	f("name=app{service_name=app,app_name=app}&from=1", "name=app{service_name=app,app_name=app}&from=1")
	f("name=a&name=b&z=1", "name=a%7Bservice_name%3Da%7D&z=1")
	for _, query := range []string{"", "from=1", "name=", "name=%zz", "name=a;b", "Name=a"} {
		if _, err := rewriteQuery(query, nil); err == nil {
			t.Errorf("rewriteQuery(%q) finds a name", query)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, name := range []string{"app", "app{}", "app{a=b}", " a { b = c , d=e } ", "a{b=c}d=e}", "a{b", "a{b=c", "a{=}", "a/b{__name__=x}", "{", "", "a{b=\xff}", "a{b={c}", "a{service_name=x,b==}", "a{b=,}"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		set, err := parseName(name)
		// Pyroscope's own parser agrees.
		reference, referenceErr := labelset.Parse(name)
		if (err == nil) != (referenceErr == nil) {
			t.Fatalf("parseName(%q): %v, Pyroscope says %v", name, err, referenceErr)
		}
		if err != nil {
			return
		}
		if diff := cmp.Diff(reference.Labels(), map[string]string(set)); diff != "" {
			t.Fatalf("parseName(%q) differs from Pyroscope: %s", name, diff)
		}
		if got := set.String(); got != reference.Normalized() {
			t.Fatalf("String of %q is %q, Pyroscope's is %q", name, got, reference.Normalized())
		}
		// Rewriting is stable, and gives exactly one service name.
		once, err := rewriteName(name, nil)
		if err != nil {
			return
		}
		again, err := parseName(once)
		if err != nil {
			t.Fatalf("rewriteName(%q) = %q, which cannot be parsed: %v", name, once, err)
		}
		if formatted, err := parseName(again.String()); err != nil || !maps.Equal(formatted, again) {
			t.Fatalf("format and parse of %q give %v, %v", once, formatted, err)
		}
		for key, value := range set {
			if key == labelName || key == labelAppName || value == "" {
				continue
			}
			if again[key] != value {
				t.Fatalf("rewriteName(%q) = %q: label %q was lost", name, once, key)
			}
		}
		// A name that needs no label is not touched.
		twice, err := rewriteName(once, nil)
		if err != nil {
			t.Fatalf("rewriteName(%q): %v", once, err)
		}
		if thrice, _ := rewriteName(twice, nil); thrice != twice {
			t.Fatalf("rewriteName does not settle: %q, %q, %q", once, twice, thrice)
		}
	})
}

func FuzzRewriteQuery(f *testing.F) {
	for _, query := range []string{"name=app", "a=b&name=a%7Bb%3Dc%7D&c=%zz", "name=a&name=b", "name=%zz&name=x", "&&name=a&", "n%61me=a+", "name=a;b&x"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		got, err := rewriteQuery(query, map[string]string{"zz": "1"})
		if err != nil {
			return
		}
		before, _ := url.ParseQuery(query)
		after, _ := url.ParseQuery(got)
		name, err := rewriteName(before.Get("name"), map[string]string{"zz": "1"})
		if err != nil || after.Get("name") != name {
			t.Fatalf("rewriteQuery(%q) = %q: name %q, want %q, %v", query, got, after.Get("name"), name, err)
		}
		delete(before, "name")
		delete(after, "name")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("rewriteQuery(%q) = %q changed other parameters: %s", query, got, diff)
		}
		if strings.Count(got, "&") > strings.Count(query, "&") {
			t.Fatalf("rewriteQuery(%q) = %q has more parameters", query, got)
		}
	})
}
