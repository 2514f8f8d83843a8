package docker

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"
)

// LogOptions say what to read of a container's output.
type LogOptions struct {
	Since  time.Time // inclusive, in nanoseconds; zero: from the start
	Tail   int       // no more than so many of the last messages there are; 0: all
	Follow bool
	TTY    bool // as Inspect says
}

// Logs opens the output of a container. Closing the reader or ending ctx ends it.
func (e *Engine) Logs(ctx context.Context, id string, o LogOptions) (*LogReader, error) {
	options := container.LogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: o.Follow, Tail: "all"}
	if !o.Since.IsZero() {
		options.Since = since(o.Since)
	}
	if o.Tail > 0 {
		options.Tail = strconv.Itoa(o.Tail)
	}
	podman := false
	body, err := request(ctx, e, func(c *connection) (io.ReadCloser, error) {
		podman = c.podman
		return c.ContainerLogs(ctx, id, options)
	})
	if err != nil {
		return nil, fmt.Errorf("open the log of container %s: %w", short(id), err)
	}
	r := NewLogReader(body, o.TTY)
	r.joinAll = podman
	return r, nil
}

// since writes a time as the Engine reads it: seconds and nanoseconds.
func since(t time.Time) string {
	text := strconv.AppendInt(nil, t.Unix(), 10)
	return string(fmt.Appendf(text, ".%09d", t.Nanosecond()))
}
