package inspect

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
)

// Stager is a component that takes log entries through stages.
type Stager interface{ Stages() Stages }

// Stages are what a component does to log entries, in order.
type Stages struct {
	Component string // set by who asks
	// List is the stages as configured; those inside another one follow it.
	List []Stage
	// Recent are a few of the entries that came in, the newest first.
	Recent func() []LogSample
	// Trace takes entries, which come one after the other, through a copy of the
	// stages: nothing is sent, held or counted.
	Trace func(ctx context.Context, in []StagedEntry) (StageTrace, error)
}

// Stage is one stage of a component.
type Stage struct {
	Name string `json:"name"` // of its block, such as stage.json
	// Path leads to its block, as component.At has it; empty where there is none.
	Path  string `json:"-"`
	Depth int    `json:"depth"` // 1 for a stage inside another one
	// File and Line are where the block is defined, set by who asks.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

// StageTrace is what the stages did to entries.
type StageTrace struct {
	Steps  []StageStep
	Output []StagedEntry
	// Secrets are texts that a stage takes for secrets: nobody may be shown them.
	Secrets []string
	Cut     bool // there were more steps than a trace has
}

// StagedEntry is an entry that goes through stages.
type StagedEntry struct {
	Name   string // as StageStep.Entry; of one that came out
	Labels labels.Labels
	pipeline.Entry
}

// What becomes of an entry in a stage.
const (
	StagePassed   = "passed"
	StageDropped  = "dropped"
	StageHeld     = "held"     // until other entries come
	StageReleased = "released" // what was held goes on
	StageEntered  = "entered"  // the stages inside it follow
	StageSkipped  = "skipped"  // the stage is not for it
)

// StageStep is what one stage did with one entry.
type StageStep struct {
	Stage int // its index in the list
	// Entry names the entry: "2" for the second that came, "1+2" for what was made of
	// two, "1.2" for the second that was made of one.
	Entry   string
	Outcome string
	Reason  string // for which a metric counts an entry that was dropped
	// Words are what the stage found or did, for people. Failed says that it could not do
	// its job.
	Words  string
	Failed bool
	// As is what the entry is called from here on, if that is not Entry.
	As      string
	Changes []StageChange
	Metrics []StageMetric
}

// What a StageChange is about.
const (
	ChangedLine      = "line"
	ChangedTime      = "time"
	ChangedLabel     = "label"
	ChangedMetadata  = "metadata"
	ChangedExtracted = "extracted"
)

// StageChange is something of an entry that a stage changed. Before is empty for what
// was added, and After for what was removed.
type StageChange struct {
	What    string `json:"what"`
	Name    string `json:"name,omitempty"`
	Before  string `json:"before"`
	After   string `json:"after"`
	Added   bool   `json:"added,omitempty"`
	Removed bool   `json:"removed,omitempty"`
}

// Differences are the changes of labels or values by their names.
func Differences(what string, before, after map[string]string) (out []StageChange) {
	all := maps.Clone(before)
	maps.Copy(all, after)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		was, had := before[name]
		is, has := after[name]
		if had != has || was != is {
			out = append(out, StageChange{What: what, Name: name, Before: was, After: is, Added: !had, Removed: !has})
		}
	}
	return out
}

// StageMetric is a metric that a stage changed.
type StageMetric struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	Value  float64           `json:"value"` // what this entry added; of a gauge, what it is
}

const (
	// keptSamples is how many entries LogSamples keeps, maxSample how much of a line, and
	// samplesFor how old the oldest is before more are kept; keptOfCall is how many of one
	// call are kept.
	keptSamples = 10
	keptOfCall  = 5
	// samplesPause is how long calls are skipped after one that was sampled.
	samplesPause = 20 * time.Millisecond
	maxSample    = 16 << 10
	samplesFor   = 10 * time.Second
)

// LogSample is an entry that came in.
type LogSample struct {
	ID     uint64
	Came   time.Time
	Labels labels.Labels
	pipeline.Entry
	Cut bool // the line was longer
}

// LogSamples keeps a few of the entries that come in, at most five of a call and about ten
// in ten seconds. Its zero value is empty.
type LogSamples struct {
	next atomic.Int64 // Unix nanoseconds: none is kept before

	mu   sync.Mutex
	last []LogSample // the newest last; guarded by mu
	id   uint64      // of the newest; guarded by mu
}

// Offer shows the entries of a call. It copies what it keeps.
func (s *LogSamples) Offer(logs pipeline.Logs, now time.Time) {
	if now.UnixNano() < s.next.Load() || len(logs.Streams) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.UnixNano() < s.next.Load() {
		return
	}
	s.next.Store(now.Add(samplesPause).UnixNano())
	// A few of the call, spread over it.
	n := logs.Entries()
	for k, i := min(n, keptOfCall), 0; i < k; i++ {
		at := i * n / k
		for j := range logs.Streams {
			stream := &logs.Streams[j]
			if at < len(stream.Entries) {
				s.keep(now, stream.Labels, &stream.Entries[at])
				break
			}
			at -= len(stream.Entries)
		}
	}
	if len(s.last) == keptSamples && s.last[0].Came.Add(samplesFor).After(now) {
		s.next.Store(s.last[0].Came.Add(samplesFor).UnixNano())
	}
}

// keep keeps an entry. It holds s.mu.
func (s *LogSamples) keep(now time.Time, stream labels.Labels, e *pipeline.Entry) {
	if slices.ContainsFunc(s.last, func(l LogSample) bool {
		return l.Time.Equal(e.Time) && (e.Line == l.Line || l.Cut && strings.HasPrefix(e.Line, l.Line))
	}) {
		return // a repeated call
	}
	s.id++
	kept := LogSample{ID: s.id, Came: now, Labels: stream.Copy(), Cut: len(e.Line) > maxSample}
	kept.Entry = pipeline.Entry{Time: e.Time, Line: strings.Clone(e.Line[:min(len(e.Line), maxSample)]), Metadata: e.Metadata.Copy()}
	s.last = append(slices.Delete(s.last, 0, max(0, len(s.last)+1-keptSamples)), kept)
}

// Recent are the entries that are kept, the newest first.
func (s *LogSamples) Recent() []LogSample {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.last)
	slices.Reverse(out)
	return out
}
