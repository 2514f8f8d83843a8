package contender

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func job(t *testing.T, kind string) Job {
	t.Helper()
	return Job{Kind: kind, Dir: t.TempDir(), Listen: "127.0.0.1:1", In: "127.0.0.1:2", Targets: []string{"127.0.0.1:3", "127.0.0.1:4"},
		OutHTTP: "127.0.0.1:5", OutGRPC: "127.0.0.1:6", Compression: "snappy", Engine: "unix:///e"}
}

// TestEveryProgramGetsItsJob: where it gets data from and where to is in its
// arguments or in the file that they name.
func TestEveryProgramGetsItsJob(t *testing.T) {
	in := map[string][]string{Scrape: {"127.0.0.1:3", "127.0.0.1:4", "127.0.0.1:5"}, OTLP: {"127.0.0.1:2", "127.0.0.1:6", "snappy"},
		Logs: {"unix:///e", "127.0.0.1:5"}, Profiles: {`"127.0.0.1"`, "= 2", "127.0.0.1:5"}, Host: {}, Containers: {"unix:///e"}, Engine: {"unix:///e"}}
	for _, c := range All("bin") {
		for kind, want := range in {
			if !c.Can(kind) {
				continue
			}
			j := job(t, kind)
			arguments, err := c.kinds[kind](c, j)
			if err != nil {
				t.Errorf("%s, %s: %v", c.Name, kind, err)
				continue
			}
			told := strings.Join(arguments, "\n")
			for _, name := range []string{"config.alloy", "config.yaml", "scrape.yaml"} {
				text, err := os.ReadFile(filepath.Join(j.Dir, name))
				if err == nil && strings.Contains(told, name) {
					told += string(text)
				}
			}
			for _, part := range want {
				if !strings.Contains(told, part) {
					t.Errorf("%s, %s: %s is missing:\n%s", c.Name, kind, part, told)
				}
			}
		}
	}
}

func TestVmagentUsesTheCompressionThatIsMeasured(t *testing.T) {
	for compression, want := range map[string]string{"snappy": "-remoteWrite.forcePromProto", "zstd": "-remoteWrite.forceVMProto"} {
		j := job(t, Scrape)
		j.Compression = compression
		if arguments, err := vmagentArguments(Contender{}, j); err != nil || arguments[len(arguments)-1] != want {
			t.Errorf("%s: %v, %v, want %s", compression, arguments, err, want)
		}
	}
}

func TestEachKindHasTheCollector(t *testing.T) {
	for _, kind := range []string{Scrape, OTLP, Logs, Profiles, Idle, Host, Containers, Engine} {
		if !All("bin")[0].Can(kind) {
			t.Errorf("the collector can't do %s", kind)
		}
	}
}

func TestTheBuiltInConfigurationMovesToFreePorts(t *testing.T) {
	const text = "grpc {\n endpoint = \"0.0.0.0:4317\"\n}\nhttp {\n endpoint = \"0.0.0.0:4318\"\n}\nhttp {\n listen_address = \"0.0.0.0\"\n listen_port    = 4040\n}\n"
	got, err := onFreePorts(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, fixed := range []string{"4317", "4318", "= 4040"} {
		if strings.Contains(got, fixed) {
			t.Errorf("%s is still there:\n%s", fixed, got)
		}
	}
	if _, err := onFreePorts("another"); err == nil {
		t.Error("a configuration without those ports is no error")
	}
}

// script is a program that c starts.
func script(t *testing.T, text string) Contender {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return Contender{Name: "script", Binary: file, ready: "/ready",
		kinds: map[string]func(Contender, Job) ([]string, error){Scrape: func(Contender, Job) ([]string, error) { return nil, nil }}}
}

func TestAProgramThatEndsSaysWhy(t *testing.T) {
	_, err := script(t, "echo no such flag; exit 1").Start(t.Context(), job(t, Scrape))
	if err == nil || !strings.Contains(err.Error(), "it has ended") || !strings.Contains(err.Error(), "no such flag") {
		t.Errorf("error is %v", err)
	}
}

func TestAProgramIsReadyOnceItSaysSo(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked < 3 || r.URL.Path != "/ready" {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	j := job(t, Scrape)
	j.Listen = server.Listener.Addr().String()
	p, err := script(t, "exec sleep 60").Start(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	if asked != 3 || p.Ready <= 0 || p.Alive() != nil {
		t.Errorf("asked %d times, ready after %v, alive: %v", asked, p.Ready, p.Alive())
	}
	p.Stop()
	if p.Alive() == nil {
		t.Error("it is alive after its stop")
	}
}
