package syslog

import (
	"time"

	"collector/pkg/inspect"
)

// Status is a snapshot of a Source for people.
type Status struct {
	Listeners     []ListenerStatus `json:"listeners"`
	Waiting       int64            `json:"waiting"`       // batches that receivers have not accepted yet
	DatagramBytes int64            `json:"datagramBytes"` // memory of datagrams that wait
}

// ListenerStatus is a snapshot of a listener.
type ListenerStatus struct {
	Address     string            `json:"address"`
	Protocol    string            `json:"protocol"`
	Format      string            `json:"format"`
	TLS         bool              `json:"tls"`
	Labels      map[string]string `json:"labels"`
	Connections int64             `json:"connections"`
	Received    uint64            `json:"received"`  // messages, with those that are dropped or wait
	Forwarded   uint64            `json:"forwarded"` // messages
	Bytes       uint64            `json:"bytes"`
	Dropped     uint64            `json:"dropped"` // messages that are not valid or empty, or that a rule drops; datagrams
	Invalid     uint64            `json:"invalid"` // of those dropped, the messages that are not valid
	Newest      time.Time         `json:"newest,omitzero"`
	// LastProblem is what was wrong with what a client sent.
	LastProblem   string    `json:"lastProblem,omitempty"`
	LastProblemAt time.Time `json:"lastProblemAt,omitzero"`
}

// Status returns a Status.
func (s *Source) Status() any {
	out := Status{Waiting: s.waiting.Load(), DatagramBytes: int64(s.queue.size())}
	for _, l := range s.listeners {
		c := &l.counts
		st := ListenerStatus{
			Address: l.Address(), Protocol: l.config.Protocol, Format: l.config.SyslogFormat, TLS: l.tls != nil, Labels: l.config.Labels,
			Connections: c.connections.Load(), Forwarded: c.lines.Load(), Bytes: c.bytes.Load(), Dropped: c.dropped.Load(), Invalid: c.invalid.Load(),
		}
		st.Received = max(c.received.Load(), st.Forwarded+st.Dropped) // read after the counts above
		last := c.lastProblem()
		st.LastProblem, st.LastProblemAt = last.text, last.at
		if at := c.newest.Load(); at != 0 {
			st.Newest = time.Unix(0, at)
		}
		out.Listeners = append(out.Listeners, st)
	}
	return out
}

// LogTails is part of inspect.Tailer: each listener is one.
func (s *Source) LogTails() []inspect.LogTail {
	var out []inspect.LogTail
	for _, l := range s.Status().(Status).Listeners {
		about := l.Format
		if l.TLS {
			about += ", TLS"
		}
		out = append(out, inspect.LogTail{
			Kind: inspect.TailListener, About: about, Received: l.Received, Invalid: l.Invalid, Problem: l.LastProblem, ProblemAt: l.LastProblemAt,
			Container: l.Protocol + " " + l.Address, State: "reading", Labels: map[string]map[string]string{"syslog": l.Labels},
			Lines: l.Forwarded, Bytes: l.Bytes, Dropped: l.Dropped, Connections: uint64(max(0, l.Connections)), Cursor: l.Newest,
		})
	}
	return out
}

// Relabeling is part of inspect.Relabeler.
func (s *Source) Relabeling() inspect.Relabeling {
	return s.config.RelabelRules.Relabeling(s.names, s.cache.Inputs)
}
