package api

import (
	"time"

	"collector/pkg/inspect"
	"collector/pkg/pipeline"
)

// Status is a snapshot of a Source for people.
type Status struct {
	Address     string    `json:"address"`
	Connections int64     `json:"connections"`
	Received    uint64    `json:"received"`  // entries of requests that could be read
	Forwarded   uint64    `json:"forwarded"` // entries
	Dropped     uint64    `json:"dropped"`   // entries
	Refused     uint64    `json:"refused"`   // requests
	Newest      time.Time `json:"newest,omitzero"`
	// LastProblem is why the last refused request was refused.
	LastProblem   string    `json:"lastProblem,omitempty"`
	LastProblemAt time.Time `json:"lastProblemAt,omitzero"`

	bytes uint64
}

// Status returns a Status.
func (s *Source) Status() any { return s.status() }

func (s *Source) status() Status {
	out := Status{
		Address: s.server.Address(), Connections: s.server.Connections(), Received: s.received.Load(), Forwarded: s.forwarded.Load(),
		Dropped: s.dropped.Load(), Refused: s.refused.Load(), bytes: s.bytes.Load(),
	}
	if at := s.newest.Load(); at != 0 {
		out.Newest = time.Unix(0, at)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out.LastProblem, out.LastProblemAt = s.problem, s.problemAt
	return out
}

// LogTails is part of inspect.Tailer: the server is one.
func (s *Source) LogTails() []inspect.LogTail {
	st := s.status()
	own := map[string]string{}
	for _, l := range s.own {
		own[l.Name] = l.Value
	}
	return []inspect.LogTail{{
		Kind: inspect.TailListener, Container: "http " + st.Address, State: "reading", About: "Loki push API", Labels: map[string]map[string]string{"api": own},
		Lines: st.Forwarded, Bytes: st.bytes, Dropped: st.Dropped, Connections: uint64(max(0, st.Connections)), Cursor: st.Newest,
		Received: st.Received, Invalid: s.invalid.Load(), Problem: st.LastProblem, ProblemAt: st.LastProblemAt,
	}}
}

// wrong counts a request that is refused.
func (s *Source) wrong(reason, client, message string) {
	s.refused.Add(1)
	switch reason {
	case reasonMalformed, reasonEncoding, reasonTooLarge, reasonUnreadable:
		s.invalid.Add(1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem, s.problemAt = client+": "+message, time.Now()
}

func lineBytes(logs pipeline.Logs) (n uint64) {
	for i := range logs.Streams {
		for j := range logs.Streams[i].Entries {
			n += uint64(len(logs.Streams[i].Entries[j].Line))
		}
	}
	return n
}
