// Package control runs the benchmark's own processes, generator and receiver, and asks
// them questions by HTTP. They are separate processes so that their CPU time and the
// collector's are not mixed up.
package control

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"
)

// Hello is the line of JSON that a child prints when it is ready.
type Hello struct {
	Control   string   // host:port that answers questions
	Addresses []string // host:port of what it serves, in an order that is its own
}

// Serve makes a process a child: it prints hello, answers questions by handler, and
// returns when standard input ends, which is when the parent has exited.
func Serve(hello Hello, handler http.Handler) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	go http.Serve(listener, handler)
	hello.Control = listener.Addr().String()
	if err := json.NewEncoder(os.Stdout).Encode(hello); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// Answer writes v as the answer to a question.
func Answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// Child is a child process that is ready.
type Child struct {
	Hello
	command *exec.Cmd
	stdin   io.Closer
}

// Start starts program with args and waits until it has said hello.
func Start(ctx context.Context, program string, args ...string) (*Child, error) {
	c := &Child{command: exec.CommandContext(ctx, program, args...)}
	c.command.Stderr = os.Stderr
	stdin, err := c.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.stdin = stdin
	stdout, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.command.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c.Hello)
	}
	if err != nil {
		c.Stop()
		return nil, fmt.Errorf("start %v: it did not say that it is ready: %w", args, err)
	}
	return c, nil
}

// Stop ends the child.
func (c *Child) Stop() {
	c.stdin.Close()
	c.command.Wait()
}

// Ask asks the question path and decodes the answer into v.
func (c *Child) Ask(ctx context.Context, path string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.Control+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		return fmt.Errorf("%s: %s: %s", path, response.Status, text)
	}
	return json.NewDecoder(response.Body).Decode(v)
}
