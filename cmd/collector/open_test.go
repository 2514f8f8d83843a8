package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// TestAnOpenUIIsWarnedOf starts the program on a loopback address and on all, with
// a password and without.
func TestAnOpenUIIsWarnedOf(t *testing.T) {
	const password = "http {\n auth {\n basic {\n username = \"a\"\n password = \"b\"\n}\n}\n}"
	const partial = "http {\n auth {\n basic {\n username = \"a\"\n password = \"b\"\n}\n filter {\n paths = [\"/metrics\"]\n}\n}\n}"
	for _, c := range []struct {
		listen, text string
		warned       bool
	}{
		{"127.0.0.1:0", "", false}, {"0.0.0.0:0", "", true}, {"[::]:0", "", true},
		{"0.0.0.0:0", password, false}, {"0.0.0.0:0", partial, true},
	} {
		file := filepath.Join(t.TempDir(), "c.alloy")
		writeFile(t, file, c.text+"\n")
		set, flags := newRunFlags()
		if err := set.Parse([]string{"--server.http.listen-addr", c.listen, "--storage.path", t.TempDir()}); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		p := newProgram(flags, file, &log)
		ctx, stop := context.WithCancel(t.Context())
		p.loaded = stop
		if err := p.run(ctx, &log); err != nil {
			t.Fatalf("%+v: %v\n%s", c, err, &log)
		}
		if got := strings.Contains(log.String(), "the UI is open"); got != c.warned {
			t.Errorf("%+v: warned %v\n%s", c, got, &log)
		}
	}
}

// TestAReloadThatOpensTheUIIsWarnedOf removes the password, and reloads twice.
func TestAReloadThatOpensTheUIIsWarnedOf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.alloy")
	writeFile(t, file, "http {\n auth {\n basic {\n username = \"a\"\n password = \"b\"\n}\n}\n}\n")
	set, flags := newRunFlags()
	if err := set.Parse([]string{"--server.http.listen-addr", "0.0.0.0:0", "--storage.path", t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	p := newProgram(flags, file, &log)
	ctx, stop := context.WithCancel(t.Context())
	p.loaded = func() {
		defer stop()
		writeFile(t, file, "logging { }\n")
		for range 2 {
			if err := p.Reload(ctx); err != nil {
				t.Error(err)
			}
		}
	}
	if err := p.run(ctx, &log); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "the UI is open"); n != 1 {
		t.Errorf("warned %d times\n%s", n, &log)
	}
}
