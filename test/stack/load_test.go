//go:build integration

package stack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"collector/test/harness"
)

// counted is a server that counts requests by the endpoints of the backend.
type counted struct {
	URL string

	mu        sync.Mutex
	total     int
	endpoints map[string]int // by method and path, as in the OpenAPI description
}

func startCounted(t *testing.T) *counted {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(harness.Root(), "backend/api/openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	var description struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &description); err != nil {
		t.Fatal(err)
	}
	c := &counted{endpoints: make(map[string]int)}
	mux := http.NewServeMux()
	for path, methods := range description.Paths {
		for method := range methods {
			pattern := strings.ToUpper(method) + " " + path
			c.endpoints[pattern] = 0
			mux.HandleFunc(pattern+exact(path), func(http.ResponseWriter, *http.Request) {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.endpoints[pattern]++
			})
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.total++
		c.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// exact keeps the pattern "/" from matching everything.
func exact(path string) string {
	if path == "/" {
		return "{$}"
	}
	return ""
}

func (c *counted) Total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

func TestLoadReachesEveryEndpointNoFasterThanTheRate(t *testing.T) {
	// Enough for twice the rate to show in spite of the allowance below.
	const rate, wanted = 50, 600
	c := startCounted(t)
	cmd := exec.Command(deployed("load.sh"), strconv.Itoa(rate), c.URL)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 2*time.Minute, func() error {
		if n := c.Total(); n < wanted {
			return fmt.Errorf("%d of %d requests have come", n, wanted)
		}
		return nil
	})
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	// All requests were sent within this time, so that a slow machine is allowed
	// more of them. One asks whether the server is there; the clock of bash counts
	// whole seconds, of which it may count one too many, and the script may be ahead
	// of that by two.
	took := time.Since(begun)
	if n, most := c.Total(), rate*(int(took.Seconds())+3)+1; n > most {
		t.Errorf("%d requests in %v at %d a second, want at most %d", n, took, rate, most)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for endpoint, n := range c.endpoints {
		if n == 0 {
			t.Errorf("no request to %s", endpoint)
		}
	}
}

// TestLoadEndsAtOnce presses ^C while requests wait for their answers.
func TestLoadEndsAtOnce(t *testing.T) {
	hang := make(chan struct{})
	var mu sync.Mutex
	waiting := 0
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			return
		}
		io.Copy(io.Discard, r.Body) // only then does the server see a client leave
		mu.Lock()
		waiting++
		mu.Unlock()
		select {
		case <-hang:
		case <-r.Context().Done():
			mu.Lock()
			waiting--
			mu.Unlock()
		}
	}))
	defer server.Close()
	defer close(hang)
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return waiting
	}
	load := harness.Start(t, "load.sh", nil, deployed("load.sh"), "50", server.URL)
	harness.Eventually(t, 20*time.Second, func() error {
		if n := count(); n < 20 {
			return fmt.Errorf("%d requests are waiting", n)
		}
		return nil
	})
	load.Signal(syscall.SIGINT)
	select {
	case <-load.Done():
	case <-time.After(time.Minute):
		t.Fatal("it runs on")
	}
	if load.ExitCode() != 0 || !strings.Contains(load.Output(), "requests in ") {
		t.Errorf("exit code %d: %s", load.ExitCode(), load.Output())
	}
	harness.Eventually(t, 10*time.Second, func() error {
		if n := count(); n > 0 {
			return fmt.Errorf("%d requests are left behind", n)
		}
		return nil
	})
}

func TestLoadRejectsNonsense(t *testing.T) {
	for _, rps := range []string{"0", "-1", "x", "1.5"} {
		out, err := exec.Command(deployed("load.sh"), rps).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "RPS") {
			t.Errorf("%q: %v, %s", rps, err, out)
		}
	}
}
