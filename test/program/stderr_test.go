package program

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"collector/test/harness"
)

// onPipe starts the collector with standard error and output into a pipe, of
// which it returns the reading end, and gives its URL once it answers.
func onPipe(t *testing.T) (cmd *exec.Cmd, reader *os.File, url string) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.alloy")
	if err := os.WriteFile(file, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	address := harness.Address(harness.FreePort(t))
	cmd = exec.Command(harness.BuildCollector(t), "run", file, "--server.http.listen-addr="+address, "--storage.path="+t.TempDir())
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait(); reader.Close() })
	writer.Close()
	harness.Eventually(t, 20*time.Second, func() error {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err
	})
	url = "http://" + address
	harness.Eventually(t, 20*time.Second, func() error {
		if code, body := status(t, url+"/-/ready"); code != 200 {
			return errors.New(body)
		}
		return nil
	})
	if err := os.WriteFile(file, []byte(bad()), 0o600); err != nil {
		t.Fatal(err)
	}
	return cmd, reader, url
}

// reloads makes the collector log n lines at least.
func reloads(t *testing.T, url string, n int) {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second}
	for range n {
		resp, err := client.Post(url+"/-/reload", "", nil)
		if err != nil {
			t.Fatalf("a reload: %v", err)
		}
		resp.Body.Close()
	}
}

// bad is a configuration that causes long errors, so that few reloads fill a pipe.
func bad() string { return strings.Repeat("loki.nothing \"x\" { }\n", 200) }

func TestAFullStandardErrorStopsNothing(t *testing.T) {
	cmd, reader, url := onPipe(t)
	reloads(t, url, 100) // several times what the pipe and the program keep
	if _, page := status(t, url+"/metrics"); !strings.Contains(page, `collector_log_lines_dropped_total{to="stderr"}`) || strings.Contains(page, `collector_log_lines_dropped_total{to="stderr"} 0`) {
		t.Error("no line is counted as dropped")
	}
	lines := make(chan string, 1<<20)
	go func() {
		defer close(lines)
		s := bufio.NewScanner(reader)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			lines <- s.Text()
		}
	}()
	said := false
	for line := range lines {
		if said = strings.Contains(line, "were lost"); said {
			break
		}
	}
	if !said {
		t.Error("the log does not say that lines were lost")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	last := ""
	for line := range lines {
		last = line
	}
	if !strings.Contains(last, "msg=stopping") {
		t.Errorf("the last line is %q", last)
	}
}

func TestAClosedStandardErrorKillsNothing(t *testing.T) {
	cmd, reader, url := onPipe(t)
	reader.Close()
	reloads(t, url, 3)
	if code, _ := status(t, url+"/-/ready"); code != 200 {
		t.Errorf("not ready: %d", code)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
