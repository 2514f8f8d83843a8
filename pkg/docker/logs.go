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
	// Unknown means that nobody has said whether there is a TTY: the output
	// itself tells.
	Unknown bool
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
	open := func() (body io.ReadCloser, podman bool, err error) {
		body, err = request(ctx, e, func(c *connection) (io.ReadCloser, error) {
			podman = c.podman
			return c.ContainerLogs(ctx, id, options)
		})
		if IsRefused(err) {
			err = refusal(err)
			e.noteRefusal(toLogs, err, "container logs are not collected")
		} else if err == nil {
			e.noteAnswer(toLogs)
		}
		if err != nil {
			err = fmt.Errorf("open the log of container %s: %w", short(id), err)
		}
		return body, podman, err
	}
	if c, err := e.connection(ctx); err == nil && c.podman && o.Follow {
		r := NewLogReader(&lateBody{open: open}, o.TTY)
		r.joinAll, r.unknown = true, o.Unknown
		return r, nil
	}
	body, podman, err := open()
	if err != nil {
		return nil, err
	}
	r := NewLogReader(body, o.TTY)
	r.joinAll, r.unknown = podman, o.Unknown
	return r, nil
}

// lateBody is opened when it is read: Podman does not answer before there is output, so
// that opening a silent container would block.
type lateBody struct {
	open func() (io.ReadCloser, bool, error)
	body io.ReadCloser // nil until it is open
}

func (b *lateBody) Read(p []byte) (int, error) {
	if b.body == nil {
		body, _, err := b.open()
		if err != nil {
			return 0, err
		}
		b.body = body
	}
	return b.body.Read(p)
}

// Close closes what is open. Before that, the end of the context is what ends
// the request.
func (b *lateBody) Close() error {
	if b.body == nil {
		return nil
	}
	return b.body.Close()
}

// since writes a time as the Engine reads it: seconds and nanoseconds.
func since(t time.Time) string {
	text := strconv.AppendInt(nil, t.Unix(), 10)
	return string(fmt.Appendf(text, ".%09d", t.Nanosecond()))
}
