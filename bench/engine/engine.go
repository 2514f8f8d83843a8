// Package engine runs a Docker Engine of the benchmark's own, and containers
// that write log lines.
package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Image is the image of the benchmark's own program.
const Image = "collector-bench:latest"

// How long the Engine may take to start, and to stop.
const patience = time.Minute

// Engine is a running dockerd.
type Engine struct {
	Host string // unix://…
	Pid  int

	dir     string
	daemon  *exec.Cmd
	ended   chan struct{}
	client  *http.Client
	started []string // containers
}

// Missing says why there can be no Engine here; nil if there can.
func Missing() error {
	if os.Geteuid() != 0 {
		return errors.New("a Docker Engine of its own takes root")
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		return errors.New("dockerd is not installed: run `make setup`")
	}
	return nil
}

// Start starts an Engine with the image of program, a static binary. Containers
// have no network, so that the Engine changes nothing of the host's.
func Start(ctx context.Context, program string) (*Engine, error) {
	dir, err := os.MkdirTemp("", "bench") // a socket's path is limited to 107 bytes
	if err != nil {
		return nil, err
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	e := &Engine{Host: "unix://" + path("docker.sock"), dir: dir, ended: make(chan struct{})}
	e.client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path("docker.sock"))
	}}}
	e.daemon = exec.Command("dockerd", "--data-root", path("data"), "--exec-root", path("exec"), "--pidfile", path("pid"),
		"-H", e.Host, "--log-level=error", "--bridge=none", "--iptables=false", "--ip6tables=false")
	output, err := os.Create(path("log"))
	if err != nil {
		return nil, err
	}
	defer output.Close()
	e.daemon.Stdout, e.daemon.Stderr = output, output
	if err := e.daemon.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("start dockerd: %w", err)
	}
	e.Pid = e.daemon.Process.Pid
	go func() { e.daemon.Wait(); close(e.ended) }()
	if err := e.prepare(ctx, program); err != nil {
		e.Stop()
		return nil, err
	}
	return e, nil
}

// prepare waits for the Engine and loads the image.
func (e *Engine) prepare(ctx context.Context, program string) error {
	for deadline := time.Now().Add(patience); ; {
		err := e.call(ctx, http.MethodGet, "/_ping", nil, nil)
		if err == nil {
			break
		}
		select {
		case <-e.ended:
			text, _ := os.ReadFile(filepath.Join(e.dir, "log"))
			return fmt.Errorf("dockerd has ended:\n%s", text)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for dockerd: %w", err)
		}
	}
	archive, err := archiveOf(program)
	if err != nil {
		return err
	}
	name, tag, _ := strings.Cut(Image, ":")
	return e.call(ctx, http.MethodPost, "/images/create?fromSrc=-&repo="+name+"&tag="+tag+"&changes=ENTRYPOINT+%5B%22%2Fbench%22%5D", archive, nil)
}

func archiveOf(program string) (*bytes.Buffer, error) {
	binary, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "bench", Mode: 0o755, Size: int64(len(binary))}); err != nil {
		return nil, err
	}
	w.Write(binary)
	return &archive, w.Close()
}

// Run starts a container of the benchmark's program with args, which sees a
// folder of the host's: mount is `folder:path:ro`.
func (e *Engine) Run(ctx context.Context, name, mount string, args ...string) error {
	config := map[string]any{
		"Image": Image, "Cmd": args,
		"Labels":     map[string]string{"com.docker.compose.project": "bench", "com.docker.compose.service": name},
		"HostConfig": map[string]any{"NetworkMode": "none", "Binds": []string{mount}, "LogConfig": map[string]any{"Type": "json-file"}},
	}
	var created struct{ ID string }
	if err := e.call(ctx, http.MethodPost, "/containers/create?name="+name, config, &created); err != nil {
		return fmt.Errorf("create container %s: %w", name, err)
	}
	e.started = append(e.started, created.ID)
	if err := e.call(ctx, http.MethodPost, "/containers/"+created.ID+"/start", nil, nil); err != nil {
		return fmt.Errorf("start container %s: %w", name, err)
	}
	return nil
}

// Clear removes all containers that Run has started.
func (e *Engine) Clear() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all []error
	for _, id := range e.started {
		all = append(all, e.call(ctx, http.MethodDelete, "/containers/"+id+"?force=true&v=true", nil, nil))
	}
	e.started = nil
	return errors.Join(all...)
}

// Stop removes the containers and ends the Engine.
func (e *Engine) Stop() {
	e.Clear()
	e.daemon.Process.Signal(syscall.SIGTERM)
	select {
	case <-e.ended:
	case <-time.After(patience):
		e.daemon.Process.Kill()
		<-e.ended
	}
	os.RemoveAll(e.dir)
}

// call calls the Engine's API. body is nil, a tar archive, or made into JSON;
// the answer is decoded into answer unless that is nil.
func (e *Engine) call(ctx context.Context, method, path string, body, answer any) error {
	var content io.Reader
	kind := "application/json"
	switch b := body.(type) {
	case nil:
	case *bytes.Buffer:
		content, kind = b, "application/x-tar"
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, content)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", kind)
	response, err := e.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode >= 300:
		return fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(text))
	case answer == nil:
		return nil
	default:
		return json.Unmarshal(text, answer)
	}
}
