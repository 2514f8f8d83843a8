package docker

import (
	"strings"
	"time"

	"collector/pkg/docker"
	"collector/pkg/inspect"
)

// tailState is what a tail reports about itself.
type tailState struct {
	name        string
	state       string
	lines       uint64
	bytes       uint64
	dropped     uint64
	connections uint64
	lastError   string
	lastErrorAt time.Time
}

// SourceStatus is a snapshot of loki.source.docker.
type SourceStatus struct {
	Host  string
	Tails []TailStatus
}

// TailStatus is a snapshot of the tail of one container.
type TailStatus struct {
	ID          string
	Name        string
	State       string
	Running     bool                         // the output is being read
	Labels      map[string]map[string]string // by stream
	Lines       uint64
	Bytes       uint64
	Dropped     uint64
	Connections uint64
	Cursor      time.Time // of the newest line read; zero for none
	ReadOffset  string
	LagSeconds  float64
	LastError   string
	LastErrorAt time.Time
}

// Status returns a snapshot of all tails.
func (s *Source) Status() any {
	return SourceStatus{Host: s.cfg.Host, Tails: s.Tails()}
}

// Tails is a snapshot of all tails, in the order of the containers' ids.
func (s *Source) Tails() []TailStatus {
	all := s.snapshot()
	out, now := make([]TailStatus, 0, len(all)), time.Now()
	for _, t := range all {
		out = append(out, t.snapshot(now))
	}
	return out
}

// LogTails is part of inspect.Tailer.
func (s *Source) LogTails() []inspect.LogTail {
	var out []inspect.LogTail
	for _, t := range s.Tails() {
		out = append(out, inspect.LogTail{
			Kind: inspect.TailContainer, ID: t.ID, Container: t.Name, State: t.State, Labels: t.Labels, Lines: t.Lines, Bytes: t.Bytes, Dropped: t.Dropped,
			Connections: t.Connections, Cursor: t.Cursor, LagSeconds: t.LagSeconds, Error: t.LastError, ErrorAt: t.LastErrorAt,
		})
	}
	return out
}

// Failing is part of inspect.Counter.
func (s *Source) Failing() (failing, all int) {
	tails := s.snapshot()
	for _, t := range tails {
		t.mu.Lock()
		if t.status.lastError != "" {
			failing++
		}
		t.mu.Unlock()
	}
	return failing, len(tails)
}

// Engine is part of inspect.EngineUser.
func (s *Source) Engine() inspect.Engine {
	e, ok := s.engine.(*docker.Engine)
	if !ok {
		return inspect.Engine{Host: s.cfg.Host}
	}
	now := e.Status()
	out := inspect.Engine{Host: now.Host, Connected: now.Connected, Since: now.Since, Targets: len(s.snapshot()), Refused: now.Refused}
	if now.Err != nil {
		out.Error = now.Err.Error()
	}
	return out
}

func (t *tail) snapshot(now time.Time) TailStatus {
	lag := t.lag(now)
	id := t.identity.Load()
	out := TailStatus{ID: t.id, Name: t.label(), LagSeconds: lag.Seconds(), Labels: make(map[string]map[string]string)}
	for stream := range streamCount {
		if l := id.streams[stream]; !l.drop {
			out.Labels[streamName(stream)] = l.labels.Map()
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	out.State, out.Running = t.status.state, t.endConnection != nil
	out.Lines, out.Bytes, out.Dropped = t.status.lines, t.status.bytes, t.status.dropped
	out.Connections = t.status.connections
	out.LastError, out.LastErrorAt = t.status.lastError, t.status.lastErrorAt
	if ns := t.read.newest(); ns != 0 {
		out.Cursor = time.Unix(0, ns).UTC()
		out.ReadOffset = out.Cursor.Format(time.RFC3339Nano)
	}
	return out
}

// label is the container's name for people.
func (t *tail) label() string {
	t.mu.Lock()
	name := t.status.name
	t.mu.Unlock()
	if name == "" {
		name = t.identity.Load().target.Get(containerNameLabel)
	}
	if name == "" {
		return t.id
	}
	return strings.TrimPrefix(name, "/")
}

func (t *tail) setName(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.name = name
}

func (t *tail) setState(state string, err error) {
	t.mu.Lock()
	t.status.state = state
	t.mu.Unlock()
	t.setError(err)
}

// setError keeps the last error for people; nil clears it.
func (t *tail) setError(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.status.lastError, t.status.lastErrorAt = "", time.Time{}
		return
	}
	t.status.lastError, t.status.lastErrorAt = err.Error(), time.Now()
}

// warn logs each message at most once a minute for each tail: what the collector
// logs may itself be tailed.
func (t *tail) warn(msg string, args ...any) {
	t.quiet.Warn(t.source.opts.Logger, "", msg, append(args, "container", t.label())...)
}

// Silent connections are opened again after this time, and then each time
// after four times as long, up to an hour: a healthy container that has
// nothing to say costs next to nothing.
const (
	firstSilence = 35 * time.Second
	maxSilence   = time.Hour
)

// silence is how long nothing new has been read.
type silence struct {
	read  cursor // as of since
	since time.Time
	limit time.Duration
}

// checkSilence ends a connection that has been silent for too long; the tail
// then opens it again at its cursor.
func (t *tail) checkSilence(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	waiting := t.filling != nil && t.filling.Full() // the sink, not Docker, is silent
	switch s := &t.silence; {
	case s.limit == 0 || waiting || s.read != t.read:
		*s = silence{read: t.read, since: now, limit: firstSilence}
	case now.Sub(s.since) >= s.limit && t.endConnection != nil:
		s.since, s.limit = now, min(4*s.limit, maxSilence)
		t.endConnection(errSilent)
	}
}
