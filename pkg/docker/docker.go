// Package docker is the Engine as the collector sees it: connect, list the
// containers, follow events, read container output. Only GET requests are sent.
package docker

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// Pool shares Engines between components, by host and client settings.
type Pool struct{}

// NewPool makes an empty pool.
func NewPool(logger *slog.Logger) *Pool { return &Pool{} }

// Config says how to reach an Engine.
type Config struct {
	Host string // unix://, tcp://, http://, https://
	// Client is used for http and https hosts, and for tcp with TLS; nil
	// otherwise. Key tells two clients apart.
	Client *http.Client
	Key    string
}

// Engine returns the Engine for c; it connects to nothing yet.
func (p *Pool) Engine(c Config) (*Engine, error) { panic("BUG: to be written") }

// Engine is one Docker Engine, shared by everyone who uses the same host.
type Engine struct{}

// Container is one container as last seen.
type Container struct {
	ID      string
	Name    string // with the leading slash
	Running bool
	TTY     bool
	Labels  map[string]string
	// StartedAt and FinishedAt are the zero time when unknown.
	StartedAt, FinishedAt time.Time
	LogDriver             string
}

// Inspect asks the Engine about one container. IsNotFound tells a container that is gone.
func (e *Engine) Inspect(ctx context.Context, id string) (Container, error) {
	panic("BUG: to be written")
}

// IsNotFound tells whether err says that the container does not exist (any more).
func IsNotFound(err error) bool { panic("BUG: to be written") }

// IsUnreadable tells whether err says that the container's logging driver cannot be read.
func IsUnreadable(err error) bool { panic("BUG: to be written") }

// LogOptions say what to read of a container's output.
type LogOptions struct {
	Since  time.Time // inclusive, in nanoseconds; zero: from the start
	Follow bool
	TTY    bool // as Inspect says
}

// Logs opens the output of a container. Closing the reader or ending ctx ends it.
func (e *Engine) Logs(ctx context.Context, id string, o LogOptions) (*LogReader, error) {
	panic("BUG: to be written")
}

// Frame is one piece of output, as Docker wrote it: at most 16 KiB of a line.
type Frame struct {
	Time    time.Time
	Stream  string // "stdout" or "stderr"; always "stdout" with a TTY
	Text    []byte // without Docker's timestamp; valid until the next call of Next
	Partial bool   // the line goes on in the next frame of this stream
}

// LogReader decodes the Engine's log stream into frames.
type LogReader struct{}

// NewLogReader reads frames (https://docs.docker.com/reference/api/engine/, "Attach to a container", stream format) or, with tty, raw
// lines from r. Every line carries Docker's RFC 3339 timestamp.
func NewLogReader(r io.ReadCloser, tty bool) *LogReader { panic("BUG: to be written") }

// Next returns the next frame; io.EOF at the end of the output.
func (r *LogReader) Next() (Frame, error) { panic("BUG: to be written") }

// Close ends reading.
func (r *LogReader) Close() error { panic("BUG: to be written") }
