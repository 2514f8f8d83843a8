package engine

import (
	"archive/tar"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fake is an Engine that answers what answer does.
func fake(t *testing.T, answer http.HandlerFunc) *Engine {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return &Engine{client: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}}}}
}

func TestContainersAreMadeStartedAndRemoved(t *testing.T) {
	var calls []string
	e := fake(t, func(w http.ResponseWriter, r *http.Request) {
		calls = append(calls, r.Method+" "+r.URL.String())
		if strings.HasPrefix(r.URL.Path, "/containers/create") {
			var config struct {
				Image      string
				Cmd        []string
				Labels     map[string]string
				HostConfig struct{ Binds []string }
			}
			if err := json.NewDecoder(r.Body).Decode(&config); err != nil || config.Image != Image || strings.Join(config.Cmd, " ") != "lines -rate=1" ||
				config.Labels["com.docker.compose.service"] != "web" || strings.Join(config.HostConfig.Binds, " ") != "/a:/b:ro" {
				t.Errorf("config is %+v, %v", config, err)
			}
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, `{"Id":"abc"}`)
		}
	})
	if err := e.Run(t.Context(), "web", "/a:/b:ro", "lines", "-rate=1"); err != nil {
		t.Fatal(err)
	}
	if err := e.Clear(); err != nil {
		t.Fatal(err)
	}
	if err := e.Clear(); err != nil {
		t.Fatal(err)
	}
	want := "POST /containers/create?name=web POST /containers/abc/start DELETE /containers/abc?force=true&v=true"
	if got := strings.Join(calls, " "); got != want {
		t.Errorf("calls are %s, want %s", got, want)
	}
}

func TestErrorsSayWhatTheEngineSays(t *testing.T) {
	e := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"message":"no such image"}`, http.StatusNotFound)
	})
	if err := e.Run(t.Context(), "web", "/a:/b:ro"); err == nil || !strings.Contains(err.Error(), "create container web") || !strings.Contains(err.Error(), "no such image") {
		t.Errorf("error is %v", err)
	}
}

func TestImageHasTheProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "any")
	if err := os.WriteFile(program, []byte("a binary"), 0o755); err != nil {
		t.Fatal(err)
	}
	archive, err := archiveOf(program)
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(archive)
	header, err := r.Next()
	if err != nil || header.Name != "bench" || header.Mode&0o111 == 0 {
		t.Fatalf("%+v, %v", header, err)
	}
	if content, _ := io.ReadAll(r); string(content) != "a binary" {
		t.Errorf("it holds %q", content)
	}
}
