// Package inspect is what components show of themselves to people: in the UI, the API and
// the support bundle. A component implements the interfaces that fit it, and is found by
// them; nobody has to know its type. All results are snapshots. They may hold secrets, in
// labels above all, which whoever shows them redacts.
//
// The health of a component follows from the same interfaces (see package health):
// one that has Destinations, ScrapeTargets, LogTails or Engine is healthy, degraded
// or unhealthy without saying so itself.
package inspect

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/cause"
	"collector/pkg/deliver"
	"collector/pkg/listen"
)

// Deliverer is a component that delivers data to destinations, from a queue on disk.
type Deliverer interface{ Destinations() []deliver.Status }

// Idler is a Deliverer that makes the queue of a signal when the first item arrives: Idle
// is what it could deliver until then.
type Idler interface{ Idle() []deliver.Status }

// Scraper is a component that scrapes targets.
type Scraper interface {
	ScrapeTargets() []ScrapeTarget
	// Fetch asks a target for its page; ErrNoTarget if there is none with that id.
	Fetch(ctx context.Context, id string) (Response, error)
}

// ErrNoTarget is Fetch's for an id that no target has.
var ErrNoTarget = errors.New("there is no such target")

// ScrapeTarget is a target of a component that scrapes.
type ScrapeTarget struct {
	Component  string // set by who asks, as everywhere below
	ID         string // within the component
	Job, URL   string
	Profile    string // the kind of profile that is scraped; empty: it is metrics
	State      string // up, down or unknown
	Labels     labels.Labels
	Discovered labels.Labels // before relabeling, with meta labels
	LastScrape time.Time
	Took       time.Duration
	Interval   string
	Samples    int
	Error      string
	// Error is the text of Err. Cause and Hint are what it means, with all that is known
	// of the target's container: see Explain.
	Err   error
	Cause cause.Cause
	Hint  string
	// Mistaken means that Hint is about a label that can't be meant as it is.
	Mistaken bool
}

// Response is what a target answered.
type Response struct {
	Status      string        `json:"status"`
	ContentType string        `json:"contentType"`
	Body        string        `json:"body"`
	Truncated   bool          `json:"truncated"`          // there is more than the body
	Location    string        `json:"location,omitempty"` // where a redirect leads, which is not followed
	Took        time.Duration `json:"took"`               // ns
	Profile     bool          `json:"profile,omitempty"`  // the body says in words what is in a profile
	// Err is why a scrape would fail with it; Cause is what that means.
	Err   error       `json:"-"`
	Cause cause.Cause `json:"-"`
}

// Tailer is a component that reads logs from containers, files or the like.
type Tailer interface {
	LogTails() []LogTail
}

// The kinds of LogTails.
const (
	TailContainer = "container"
	TailFile      = "file"
	TailJournal   = "journal"
	TailListener  = "listener" // what comes is sent to it
)

// LogTail is something that log lines are read from: a container, a file, a folder of
// journal files, or a listener.
type LogTail struct {
	Component string `json:"component"`
	Kind      string `json:"kind"`
	ID        string `json:"id"` // of the container; empty for others
	Container string `json:"container"`
	State     string `json:"state"`
	// Labels are the labels of each stream; a stream that a rule drops is not there.
	Labels      map[string]map[string]string `json:"labels"`
	Lines       uint64                       `json:"lines"`
	Bytes       uint64                       `json:"bytes"`
	Dropped     uint64                       `json:"dropped"` // by rules
	Connections uint64                       `json:"connections"`
	Cursor      time.Time                    `json:"cursor"` // the time of the newest line read
	LagSeconds  float64                      `json:"lagSeconds"`
	Error       string                       `json:"error,omitempty"`
	ErrorAt     time.Time                    `json:"errorAt,omitzero"`
	// Cause is what Error means, and Fix what to do about it, where that is known.
	Cause string `json:"cause,omitempty"`
	Fix   string `json:"fix,omitempty"`
	// About describes it in a few words: a format, or what is selected.
	About string `json:"about,omitempty"`
	// Of a file, in bytes: up to where it is read, and how long it is. Rotated are the
	// files before it that are still read.
	Position int64 `json:"position,omitempty"`
	Size     int64 `json:"size,omitempty"`
	Rotated  int   `json:"rotated,omitempty"`
	// ReadTo is the cursor of a journal, as journalctl --after-cursor takes it, Units is how
	// many lines each unit has, and Lost how many entries can't be read.
	ReadTo string            `json:"readTo,omitempty"`
	Units  map[string]uint64 `json:"units,omitempty"`
	Lost   uint64            `json:"lost,omitempty"`
	// Received is how many messages came to a listener, and Invalid how many of them, or
	// of the requests, are not valid. Problem is what was wrong with the last one.
	Received  uint64    `json:"received,omitempty"`
	Invalid   uint64    `json:"invalid,omitempty"`
	Problem   string    `json:"problem,omitempty"`
	ProblemAt time.Time `json:"problemAt,omitzero"`
}

// Receiver is a component to which clients push.
type Receiver interface{ Receiving() listen.Received }

// Counter is a Scraper or a Tailer that has thousands of targets or tails, and counts
// those that fail at less cost than by listing all.
type Counter interface{ Failing() (failing, all int) }

// Partial is the error of a component's method Health when it concerns a part of what
// the component reads: the component is degraded, not unhealthy.
type Partial struct{ Err error }

func (p Partial) Error() string { return p.Err.Error() }
func (p Partial) Unwrap() error { return p.Err }

// EngineUser is a component that has a connection to Docker.
type EngineUser interface{ Engine() Engine }

// Containers is a component that discovers containers.
type Containers interface {
	EngineUser
	Containers() []Container
	// Unlisted are the containers of which it makes no targets, by name: why not.
	Unlisted() map[string]string
}

// Engine is a connection to Docker.
type Engine struct {
	Component string    `json:"component"`
	Host      string    `json:"host"`
	Connected bool      `json:"connected"`
	Error     string    `json:"error,omitempty"`
	Since     time.Time `json:"since"`
	Targets   int       `json:"targets"`
	Refused   []string  `json:"refused,omitempty"` // requests that are not allowed
}

// Container is a container that discovery has found.
type Container struct {
	ID, Name, Project, Service string
	Ended                      bool
	Ports                      []int             // TCP, that it exposes
	Networks                   []string          // that it is in
	Here                       []string          // that the collector's own container of the same Engine is in; nil if it has none
	Labels                     map[string]string // as Docker has them; not to be modified
}

// Lives is a component that knows the recent restarts and exits of the containers that it
// discovers.
type Lives interface {
	// Lives are the containers that restart again and again, and those that ended in
	// the last minutes.
	Lives() []Life
}

// Life is the recent history of a container.
type Life struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Project  string    `json:"project,omitempty"`
	Service  string    `json:"service,omitempty"`
	Looping  bool      `json:"looping"` // it restarts again and again
	Removed  bool      `json:"removed"`
	ExitCode int       `json:"exitCode"` // of the last end
	Ends     int       `json:"ends"`     // in the last five minutes
	EndedAt  time.Time `json:"endedAt,omitzero"`
}

// Holder is a component that holds log lines back until more of them arrive or a time
// has passed, as the stage multiline does.
type Holder interface {
	HeldLines() int
}

// Viewer is a component that only shows what it is given, by signal; it stores and
// delivers nothing.
type Viewer interface {
	Given() map[string]uint64
}
