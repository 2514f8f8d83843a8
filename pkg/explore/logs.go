package explore

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Entry is a log line in the window.
type Entry struct {
	// ID grows with each entry; it is the cursor of a query.
	ID       uint64        `json:"id"`
	Time     time.Time     `json:"time"`
	Labels   labels.Labels `json:"labels"`
	Metadata labels.Labels `json:"metadata"`
	Line     string        `json:"line"`
	Level    string        `json:"level,omitempty"`   // in lower case; filled in by a query
	TraceID  string        `json:"traceId,omitempty"` // filled in by a query

	came time.Time // here; its own time may be any
}

// entryOverhead is about what an entry takes besides its line and labels.
const entryOverhead = 150

// size counts labels in full, although entries may share them: none may hold
// more than it is counted for.
func (e *Entry) size() int {
	return len(e.Line) + labelsSize(e.Labels) + labelsSize(e.Metadata) + entryOverhead
}

// labelsSize is about what lset takes in memory.
func labelsSize(lset labels.Labels) (n int) {
	lset.Range(func(l labels.Label) { n += len(l.Name) + len(l.Value) + 4 })
	return n
}

// logStore holds entries in the order in which they came.
type logStore struct {
	limit, bytes int
	entries      []Entry
	next         uint64
}

func newLogStore(limit int) *logStore { return &logStore{limit: limit, next: 1} }

func (s *logStore) add(entries []Entry) {
	now := time.Now()
	for _, e := range entries {
		e.ID, e.came = s.next, now
		s.next++
		s.bytes += e.size()
		s.entries = append(s.entries, e)
	}
	n := 0
	for over := s.bytes - s.limit; over > 0 && n < len(s.entries); n++ {
		over -= s.entries[n].size()
	}
	s.drop(n)
}

// drop drops the oldest n entries.
func (s *logStore) drop(n int) {
	for i := range n {
		s.bytes -= s.entries[i].size()
		s.entries[i] = Entry{}
	}
	s.entries = s.entries[n:]
}

func (s *logStore) forget(t time.Time) {
	n := 0
	for n < len(s.entries) && s.entries[n].came.Before(t) {
		n++
	}
	s.drop(n)
}

func (s *logStore) stats() Stats {
	st := Stats{Items: len(s.entries), Bytes: s.bytes}
	if len(s.entries) > 0 {
		st.Oldest = s.entries[0].came
	}
	return st
}

// LogQuery chooses entries. What is empty lets everything pass.
type LogQuery struct {
	Text    string            // a substring of the line, whatever the case
	Level   string            // such as "error"
	Labels  map[string]string // equal labels
	TraceID string            // is in the line or in the metadata
	Before  uint64            // only entries with a smaller ID
	Limit   int               // 100 if it is not from 1 to 1,000
}

// LogResult is the newest entries that fit, the newest first.
type LogResult struct {
	Entries []Entry `json:"entries"`
	// Before is the query's Before for the entries that follow; 0 if none do.
	Before uint64 `json:"before"`
}

// maxScan is how many entries a query looks at before it answers with what it
// has found.
const maxScan = 200_000

// Logs answers q.
func (w *Window) Logs(ctx context.Context, q LogQuery) (LogResult, error) {
	return ask(ctx, w, func() LogResult { return w.logs.query(q) })
}

func (s *logStore) query(q LogQuery) LogResult {
	limit := q.Limit
	if limit < 1 || limit > 1000 {
		limit = 100
	}
	r := LogResult{Entries: []Entry{}}
	end := len(s.entries)
	if q.Before > 0 {
		end, _ = slices.BinarySearchFunc(s.entries, q.Before, func(e Entry, id uint64) int { return compare(e.ID, id) })
	}
	q.Text, q.Level, q.TraceID = strings.ToLower(q.Text), strings.ToLower(q.Level), strings.ToLower(q.TraceID)
	for i := end - 1; i >= 0; i-- {
		if len(r.Entries) == limit || end-i > maxScan {
			r.Before = s.entries[i+1].ID
			break
		}
		e := s.entries[i]
		if q.matches(&e) {
			r.Entries = append(r.Entries, e)
		}
	}
	return r
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// matches fills in what is worked out of e, if q chooses it.
func (q *LogQuery) matches(e *Entry) bool {
	if q.Text != "" && !strings.Contains(strings.ToLower(e.Line), q.Text) {
		return false
	}
	for name, value := range q.Labels {
		if e.Labels.Get(name) != value {
			return false
		}
	}
	if e.TraceID = traceOf(e); q.TraceID != "" && q.TraceID != e.TraceID && !strings.Contains(e.Line, q.TraceID) {
		return false
	}
	e.Level = levelOf(e)
	return q.Level == "" || q.Level == e.Level
}

var (
	levelInLine = regexp.MustCompile(`(?i)(?:^|[\s,{"])(?:level|lvl|severity)"?\s*[=:]\s*"?([a-z]+)`)
	traceInLine = regexp.MustCompile(`(?i)trace[_.-]?id"?\s*[=:]\s*"?([0-9a-f]{32})\b`)
)

// levelOf is the level of e according to its labels or its line.
func levelOf(e *Entry) string {
	for _, name := range []string{"level", "detected_level", "severity", "severity_text"} {
		if v := cmp.Or(e.Metadata.Get(name), e.Labels.Get(name)); v != "" {
			return level(v)
		}
	}
	if m := levelInLine.FindStringSubmatch(e.Line); m != nil {
		return level(m[1])
	}
	return ""
}

// level gives the usual word for one.
func level(word string) string {
	word = strings.ToLower(word)
	switch word {
	case "warning":
		return "warn"
	case "err", "fatal", "critical", "panic":
		return "error"
	case "information", "notice":
		return "info"
	}
	return word
}

func traceOf(e *Entry) string {
	for _, name := range []string{"trace_id", "traceID", "traceid"} {
		if v := e.Metadata.Get(name); v != "" {
			return strings.ToLower(v)
		}
	}
	if m := traceInLine.FindStringSubmatch(e.Line); m != nil {
		return strings.ToLower(m[1])
	}
	return ""
}
