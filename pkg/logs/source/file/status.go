package file

import (
	"time"

	"collector/pkg/discovery"
	"collector/pkg/inspect"
)

// SourceStatus is a snapshot of loki.source.file.
type SourceStatus struct {
	Tails []TailStatus
}

// TailStatus is a snapshot of the tail of one file.
type TailStatus struct {
	Path        string
	State       string
	Running     bool // the file is open
	Labels      map[string]string
	Lines       uint64
	Bytes       uint64
	ReadOffset  int64
	ReadAt      time.Time // when the newest line was read; zero for none
	Size        int64
	Rotated     int     // files before it that are still read
	LagSeconds  float64 // for how long there has been something to read
	LastError   string
	LastErrorAt time.Time
	Cause       string // what LastError means
	Fix         string
}

// Status returns a snapshot of all tails.
func (s *Source) Status() any { return SourceStatus{Tails: s.Tails()} }

// Tails is a snapshot of all tails, in the order of their paths.
func (s *Source) Tails() []TailStatus {
	all := s.snapshot()
	out, now := make([]TailStatus, 0, len(all)), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range all {
		st := &t.status
		out = append(out, TailStatus{
			Path: t.path, State: st.state, Running: st.open, Labels: t.labels.Map(), Lines: st.lines, Bytes: st.bytes,
			ReadOffset: st.offset, ReadAt: st.readAt, Size: st.size, Rotated: st.rotated, LastError: st.lastError, LastErrorAt: st.lastErrorAt,
			Cause: st.cause, Fix: st.fix,
		})
		if !st.unreadSince.IsZero() {
			out[len(out)-1].LagSeconds = max(0, now.Sub(st.unreadSince).Seconds())
		}
	}
	return out
}

// LogTails is part of inspect.Tailer.
func (s *Source) LogTails() []inspect.LogTail {
	var out []inspect.LogTail
	for _, t := range s.Tails() {
		out = append(out, inspect.LogTail{
			Kind: inspect.TailFile, Container: t.Path, State: t.State, Labels: map[string]map[string]string{"file": t.Labels},
			Lines: t.Lines, Bytes: t.Bytes, Cursor: t.ReadAt, LagSeconds: t.LagSeconds,
			Error: t.LastError, ErrorAt: t.LastErrorAt, Cause: t.Cause, Fix: t.Fix, Position: t.ReadOffset, Size: t.Size, Rotated: t.Rotated,
		})
	}
	return out
}

// Consume is part of inspect.TargetConsumer.
func (s *Source) Consume(t discovery.Target) (o inspect.Onward, listed bool) {
	if !s.cfg.Targets.Has(t) {
		return o, false
	}
	if t.Get("__path__") == "" {
		return inspect.Onward{Why: "the target has no label __path__, which says what file to read"}, true
	}
	return inspect.Onward{Taken: true, Why: "The file is read."}, true
}
