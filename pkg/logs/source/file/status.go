package file

import "time"

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
	LastError   string
	LastErrorAt time.Time
}

// Status returns a snapshot of all tails.
func (s *Source) Status() any { return SourceStatus{Tails: s.Tails()} }

// Tails is a snapshot of all tails, in the order of their paths.
func (s *Source) Tails() []TailStatus {
	all := s.snapshot()
	out := make([]TailStatus, 0, len(all))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range all {
		st := &t.status
		out = append(out, TailStatus{
			Path: t.path, State: st.state, Running: st.open, Labels: t.labels.Map(), Lines: st.lines, Bytes: st.bytes,
			ReadOffset: st.offset, ReadAt: st.readAt, Size: st.size, LastError: st.lastError, LastErrorAt: st.lastErrorAt,
		})
	}
	return out
}
