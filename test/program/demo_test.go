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

// demo is a running `collector demo`.
type demo struct {
	*harness.Process
	began     time.Time
	url       string // of its UI
	temporary string // where its temporary files are
}

// startDemo starts `collector demo` and waits until it says where its UI is.
func startDemo(t *testing.T, flags ...string) demo {
	t.Helper()
	d := demo{temporary: t.TempDir()}
	c := harness.NewCollector(t, "", "TMPDIR="+d.temporary, "DOCKER_HOST=unix:///nowhere.sock")
	d.began = time.Now()
	d.Process = c.Command(t, append([]string{"demo"}, flags...)...)
	harness.Eventually(t, time.Minute, func() error {
		if d.url = strings.TrimSpace(regexp.MustCompile(`http://\S+/\n`).FindString(d.Output())); d.url == "" {
			return fmt.Errorf("the demo does not say where its UI is:\n%s", d.Output())
		}
		return nil
	})
	return d
}

func TestTheDemoShowsAllFourSignalsAndLeavesNothing(t *testing.T) {
	noise := harness.StartNoise(t)
	d := startDemo(t, "--server.http.listen-addr=127.0.0.1:0")
	if left, _ := filepath.Glob(filepath.Join(d.temporary, "*")); len(left) == 0 {
		t.Error("its queues are not below the directory for temporary files")
	}
	harness.Eventually(t, 2*time.Minute, func() error { return allSignals(d.url) })
	took, most := time.Since(d.began).Round(10*time.Millisecond), noise.Bound(5*time.Second).Round(10*time.Millisecond)
	t.Logf("all four signals show %s after the start, of %s that this machine has", took, most)
	if took > most {
		t.Errorf("it takes %s until all four signals show", took)
	}
	d.Signal(syscall.SIGINT)
	select {
	case <-d.Done():
	case <-time.After(time.Minute):
		t.Fatal("^C does not end it")
	}
	if d.ExitCode() != 0 {
		t.Errorf("exit code %d:\n%s", d.ExitCode(), d.Output())
	}
	if left, err := os.ReadDir(d.temporary); err != nil || len(left) > 0 {
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
	first, second := startDemo(t).url, startDemo(t).url
	if first == second {
		t.Errorf("both say %s", first)
	}
	for _, url := range []string{first, second} {
		harness.Eventually(t, 2*time.Minute, func() error { return allSignals(url) })
	}
}

func TestTheDemoRejectsWhatItDoesNotKnow(t *testing.T) {
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
