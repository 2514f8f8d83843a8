package program

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"collector/test/harness"
)

// startDemo starts `collector demo` and waits until it says where its UI is. Its
// temporary files are in the directory that it returns.
func startDemo(t *testing.T, flags ...string) (p *harness.Process, url, temporary string) {
	t.Helper()
	temporary = t.TempDir()
	c := harness.NewCollector(t, "", "TMPDIR="+temporary, "DOCKER_HOST=unix:///nowhere.sock")
	p = c.Command(t, append([]string{"demo"}, flags...)...)
	harness.Eventually(t, 20*time.Second, func() error {
		if url = regexp.MustCompile(`http://\S+/\n`).FindString(p.Output()); url == "" {
			return fmt.Errorf("the demo does not say where its UI is:\n%s", p.Output())
		}
		return nil
	})
	return p, strings.TrimSpace(url), temporary
}

func TestTheDemoShowsAllFourSignalsAndLeavesNothing(t *testing.T) {
	p, url, temporary := startDemo(t, "--server.http.listen-addr=127.0.0.1:0")
	if left, _ := filepath.Glob(filepath.Join(temporary, "*")); len(left) == 0 {
		t.Error("its queues are not below the directory for temporary files")
	}
	harness.Eventually(t, 30*time.Second, func() error { return allSignals(url) })
	p.Signal(syscall.SIGINT)
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("^C does not end it")
	}
	if p.ExitCode() != 0 {
		t.Errorf("exit code %d:\n%s", p.ExitCode(), p.Output())
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, error %v", left, err)
	}
}

// allSignals is nil once the Explore window has something of each signal.
func allSignals(url string) error {
	resp, err := http.Get(url + "api/v1/explore")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var window struct {
		Signals []struct {
			Signal string
			Items  int
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&window); err != nil {
		return err
	}
	for _, s := range window.Signals {
		if s.Items == 0 {
			err = errors.Join(err, fmt.Errorf("nothing of the %s", s.Signal))
		}
	}
	if len(window.Signals) != 4 {
		err = fmt.Errorf("%d signals", len(window.Signals))
	}
	return err
}

func TestTwoDemosRunSideBySide(t *testing.T) {
	_, first, _ := startDemo(t)
	_, second, _ := startDemo(t)
	if first == second {
		t.Errorf("both say %s", first)
	}
	for _, url := range []string{first, second} {
		harness.Eventually(t, 30*time.Second, func() error { return allSignals(url) })
	}
}

func TestTheDemoRefusesWhatItDoesNotKnow(t *testing.T) {
	c := harness.NewCollector(t, "")
	for arguments, want := range map[string]string{
		"config.alloy":          "collector run config.alloy",
		"--requests=-1":         "--requests",
		"--requests=NaN":        "--requests",
		"--nothing":             "--help",
		"--explore.memory=1KiB": "--explore.memory",
	} {
		p := c.Command(t, "demo", arguments)
		if <-p.Done(); p.ExitCode() != 1 || !strings.Contains(p.Output(), want) {
			t.Errorf("%s: exit code %d: %s", arguments, p.ExitCode(), p.Output())
		}
	}
}
