package main

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"collector/pkg/cause/causetest"
)

// running answers as a collector does, to clients that know the password.
func running(t *testing.T, password string, secure bool) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/ready", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /api/v1/why", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("q") != "shop/api" {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error":"No container is called that"}`))
			return
		}
		_, _ = w.Write([]byte(`{"subjects":[{"what":"container","name":"shop-api-1","of":"service shop/api","kind":"bad","answers":[
			{"question":"stops","title":"Where does it stop?","kind":"bad","texts":[{"kind":"bad","text":"At x: refused."}],"fix":"Start it."},
			{"question":"labels","title":"Which labels?","kind":"info","texts":[{"kind":"info","text":"1 label:"}],"labels":[{"name":"job","value":"a \"b\"","from":"discovery.relabel.x, rule 2"}]}]}],"more":3}`))
	})
	mux.HandleFunc("GET /api/v1/targets", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"items":[{"name":"web","job":"j","url":"http://web:1/","state":"down","error":"refused\nmore","lastScrape":"0001-01-01T00:00:00Z"}],"total":2,"notes":["` + r.URL.RawQuery + `"]}`))
	})
	mux.HandleFunc("GET /api/v1/overview", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"destinations":[{"component":"loki.write.x","url":"http://loki","signal":"logs","queued":540,"queuedBytes":2048,"lastError":"refused","cause":"Nothing listens there","problem":"down 24 s, 540 waiting","fullQueue":"queue full (2 kB)","queue":{"capacity":2048},"stores":true},
			{"component":"prometheus.remote_write.x","url":"http://vm","signal":"metrics","delivered":7,"queuedBytes":512,"queue":{"capacity":2048},"healthy":true,"stores":true},{"component":"explore.sink.x","healthy":true}]}`))
	})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, given, _ := r.BasicAuth(); given != password && r.URL.Path != "/-/ready" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server
}

// commanded is what a command prints, and its error.
func commanded(t *testing.T, args ...string) (string, string) {
	t.Helper()
	var out strings.Builder
	if err := command(args, strings.NewReader(""), &out, &out); err != nil {
		return out.String(), shownError(err)
	}
	return out.String(), ""
}

func TestTheCommandsThatAskARunningCollector(t *testing.T) {
	address := strings.TrimPrefix(running(t, "", false).URL, "http://")
	for _, c := range []struct {
		args string
		want []string
	}{
		{"why shop/api", []string{"container shop-api-1 (service shop/api)", "  Where does it stop?", "    ✕ At x: refused.", "    → Start it.", `        job  "a \"b\""  discovery.relabel.x, rule 2`, "3 more match"}},
		{"why shop/api --json", []string{`{"subjects":[{"what"`}},
		{"targets", []string{"STATE  TARGET", "down   web", "never", "refused\n", "1 more"}},
		{"targets web --state down --project=", []string{"project=", "q=web", "state=down"}},
		{"targets --json", []string{`{"items":[`}},
		{"queue", []string{"loki.write.x               logs     http://loki", "540", "2.0 KiB", "100 %", "down 24 s, 540 waiting: Nothing listens there; queue full (2 kB)", "prometheus.remote_write.x  metrics", "25 %", "up"}},
		{"queue list", []string{"WRITER", "loki.write.x"}},
		{"queue --json", []string{`{"destinations":[`}},
	} {
		got, failure := commanded(t, append(strings.Fields(c.args), "--addr", address)...)
		if failure != "" {
			t.Errorf("%s: %s", c.args, failure)
		}
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", c.args, want, got)
			}
		}
		if strings.Contains(got, "explore.sink") && !strings.Contains(c.args, "json") {
			t.Errorf("%s lists what stores nothing", c.args)
		}
	}
}

func TestACollectorThatCannotBeReachedSaysWhatToDo(t *testing.T) {
	open := running(t, "", false).URL
	gone := "http://" + causetest.Refusing(t)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	for args, want := range map[string]string{
		"why":                                             "why needs one name",
		"why a b --addr " + open:                          "why needs one name",
		"why nobody --addr " + open:                       "No container is called that",
		"why x --addr " + gone:                            "is it running? --addr says where",
		"why x --addr " + plain.URL:                       "is this a collector",
		"why x --addr ftp://host":                         "not a valid URL",
		"targets --ca-file /nowhere":                      "--ca-file: open /nowhere",
		"why x --addr " + running(t, "secret", false).URL: "requires a password: set --user",
	} {
		if got, failure := commanded(t, strings.Fields(args)...); !strings.Contains(failure, want) {
			t.Errorf("%s: %q, not %q; %s", args, failure, want, got)
		}
	}
}

// The password comes from a file, a variable or the URL, and is not printed.
func TestThePasswordOfARunningCollector(t *testing.T) {
	server := running(t, "hunter2", false)
	address := strings.TrimPrefix(server.URL, "http://")
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--addr", address, "--user", "u", "--password-file", file}, {"--addr", "http://u:hunter2@" + address},
	} {
		if _, failure := commanded(t, append([]string{"queue"}, args...)...); failure != "" {
			t.Errorf("%v: %s", args, failure)
		}
	}
	if _, failure := commanded(t, "queue", "--addr", "http://u:hunter3@"+address); !strings.Contains(failure, "requires a password") || strings.Contains(failure, "hunter3") {
		t.Errorf("a wrong password: %s", failure)
	}
	t.Setenv(passwordVariable, "hunter2")
	if _, failure := commanded(t, "queue", "--addr", address, "--user", "u"); failure != "" {
		t.Errorf("the variable: %s", failure)
	}
}

// Without a scheme, the collector is asked which of the two it speaks, and its
// certificate is verified before it gets a password.
func TestACollectorWithTLSIsAskedToo(t *testing.T) {
	server := running(t, "hunter2", true)
	address := strings.TrimPrefix(server.URL, "https://")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(passwordVariable, "hunter2")
	if _, failure := commanded(t, "queue", "--addr", address, "--user", "u"); !strings.Contains(failure, "certificate") {
		t.Errorf("a certificate that nobody knows: %s", failure)
	}
	for _, flag := range []string{"--ca-file=" + ca, "--insecure-skip-verify"} {
		if _, failure := commanded(t, "queue", "--addr", address, "--user", "u", flag); failure != "" {
			t.Errorf("%s: %s", flag, failure)
		}
	}
}
