package flow

import (
	"time"
)

// Destination is the delivery of one signal to one endpoint.
type Destination struct {
	Component string `json:"component"` // its id
	ID        string `json:"id"`        // of the endpoint within the component
	URL       string `json:"url"`       // without passwords
	Signal    string `json:"signal"`
	// Received = Delivered + Queued + the sum of Dropped, in items.
	Received    uint64            `json:"received"`
	Delivered   uint64            `json:"delivered"`
	Queued      uint64            `json:"queued"`
	QueuedBytes int64             `json:"queuedBytes"`
	Dropped     map[string]uint64 `json:"dropped"` // by reason
	// DamagedBlocks of the queue were lost to damage on disk.
	DamagedBlocks uint64    `json:"damagedBlocks"`
	LastSuccess   time.Time `json:"lastSuccess"`
	LastFailure   time.Time `json:"lastFailure"`
	LastError     string    `json:"lastError"`
	// OldestQueued is when the oldest waiting block came; zero if none waits.
	OldestQueued time.Time `json:"oldestQueued"`
	// WaitingTenants were told to wait by the endpoint, while others go on.
	WaitingTenants int `json:"waitingTenants"`
	// UnansweredSince is since when a request is under way without an answer, if
	// that is long ago.
	UnansweredSince time.Time `json:"unansweredSince,omitzero"`
	Healthy         bool      `json:"healthy"`
	// Stores tells whether anything is delivered to another system: false of a
	// component such as explore.sink.
	Stores bool `json:"stores"`

	Recent Recent `json:"recent"`
}

// Recent is how a destination's numbers went over the last minutes,
// each at the same distance (5 s), the oldest first.
type Recent struct {
	In      []float64 `json:"in"`  // items per second
	Out     []float64 `json:"out"` // items per second
	Waiting []float64 `json:"waiting"`
	Dropped []float64 `json:"dropped"` // items per second
}

// Destinations tells how delivery goes, in the order of the components' ids.
type Destinations interface{ Destinations() []Destination }

// OrphanedQueue is what waits for a destination that the configuration no longer
// has.
type OrphanedQueue struct {
	Folder, Component, Signal, URL string
	Items                          uint64
	Bytes                          int64
	Oldest, KeptUntil              time.Time
	Delivering                     bool // by a writer to the same destination
}
