package dockertest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"
)

func (d *Daemon) events(w http.ResponseWriter, r *http.Request) {
	f := parseFilters(r.URL.Query())
	c := make(chan event, 1024)
	d.mu.Lock()
	d.subscribers[c] = true
	stopped := d.stopped
	d.wake()
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.subscribers, c)
		d.wake()
		d.mu.Unlock()
	}()

	w.Header().Set("Content-Type", "application/json")
	flush(w)
	for {
		select {
		case <-r.Context().Done():
			return
		case <-stopped:
			return
		case e, ok := <-c:
			if !ok {
				return
			}
			if !f.any("type", func(v string) bool { return v == e.kind }) ||
				!f.any("event", func(v string) bool { return v == e.action || strings.HasPrefix(e.action, v+":") }) {
				continue
			}
			json.NewEncoder(w).Encode(events.Message{
				Type: events.Type(e.kind), Action: events.Action(e.action), Scope: "local",
				Actor: events.Actor{ID: e.id, Attributes: e.attributes},
				Time:  e.time.Unix(), TimeNano: e.time.UnixNano(),
			})
			flush(w)
		}
	}
}

func flush(w http.ResponseWriter) { w.(http.Flusher).Flush() }

func (d *Daemon) logs(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	d.mu.Lock()
	s := d.containers[r.PathValue("id")]
	d.mu.Unlock()
	switch {
	case s == nil:
		fail(w, http.StatusNotFound, "No such container: %s", r.PathValue("id"))
		return
	case s.LogDriver == "none":
		fail(w, http.StatusNotImplemented, "configured logging driver does not support reading")
		return
	case q.Get("stdout") != "1" && q.Get("stderr") != "1":
		fail(w, http.StatusBadRequest, "Bad parameters: you must choose at least one stream")
		return
	}
	since, err := parseSince(q.Get("since"))
	if err != nil {
		fail(w, http.StatusBadRequest, "invalid since: %v", err)
		return
	}
	if !s.TTY {
		w.Header().Set("Content-Type", "application/vnd.docker.multiplexed-stream")
	}
	d.mu.Lock()
	podman := d.podman
	d.mu.Unlock()
	if !podman {
		flush(w)
	}

	d.stream(w, r, s, since)
}

// stream writes a container's log until it ends.
func (d *Daemon) stream(w http.ResponseWriter, r *http.Request, s *state, since time.Time) {
	q := r.URL.Query()
	d.mu.Lock()
	follow := q.Get("follow") == "1" && s.running()
	startedAt, stopped := s.started, d.stopped
	format := TimeFormat
	if d.podman {
		format = time.RFC3339
	}
	first := 0
	if n, err := strconv.Atoi(q.Get("tail")); err == nil {
		first = max(0, len(s.log)-n)
	}
	if follow {
		s.followers++
	}
	d.wake()
	d.mu.Unlock()
	if follow {
		defer func() {
			d.mu.Lock()
			s.followers--
			d.wake()
			d.mu.Unlock()
		}()
	}
	for next := first; ; {
		d.mu.Lock()
		entries, changed := s.log[next:], s.changed
		ended := !follow || s.removed || !s.running() || !s.started.Equal(startedAt)
		d.mu.Unlock()
		next += len(entries)
		for _, e := range entries {
			if e.Time.Before(since) || q.Get(e.Stream) != "1" && e.Err == "" {
				continue
			}
			stamp := ""
			if q.Get("timestamps") == "1" {
				stamp = e.Time.UTC().Format(format) + " "
			}
			if !write(w, s.TTY, stamp, e) {
				return
			}
		}
		if len(entries) > 0 {
			flush(w)
		}
		if ended {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-stopped:
			return
		case <-changed:
		}
	}
}

func parseSince(s string) (time.Time, error) {
	if s == "" || s == "0" {
		return time.Time{}, nil
	}
	seconds, nanos, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	nsec := int64(0)
	if nanos != "" {
		if nsec, err = strconv.ParseInt((nanos + "000000000")[:9], 10, 64); err != nil {
			return time.Time{}, err
		}
	}
	return time.Unix(sec, nsec), nil
}

// TimeFormat is how the Engine writes the time before each message.
const TimeFormat = "2006-01-02T15:04:05.000000000Z07:00"

// write writes one message as the Engine does; false ends the output.
func write(w http.ResponseWriter, tty bool, stamp string, e Entry) bool {
	kind, text := byte(1), stamp+e.Text
	if e.Err != "" {
		kind, text = 3, fmt.Sprintf("Error grabbing logs: %s\n", e.Err)
	}
	if e.Stream == "stderr" && e.Err == "" {
		kind = 2
	}
	if !tty {
		w.Write(binary.BigEndian.AppendUint32([]byte{kind, 0, 0, 0}, uint32(len(text))))
	}
	_, err := w.Write([]byte(text))
	return err == nil && e.Err == ""
}

// pipeListener accepts connections in memory.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, errors.New("dial docker.test: connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "docker.test" }
