package flow

import (
	"errors"
	"time"

	"collector/pkg/cause"
	"collector/pkg/deliver"
	"collector/pkg/mask"
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
	// Cause is what LastError means, in words, Fix what to do about it, and CauseKind
	// what sort of failure it is.
	Cause     string     `json:"cause,omitempty"`
	Fix       string     `json:"fix,omitempty"`
	CauseKind cause.Kind `json:"causeKind,omitempty"`
	// OldestQueued is when the oldest waiting block was queued; zero if none is waiting.
	OldestQueued time.Time `json:"oldestQueued"`
	// WaitingTenants is how many tenants the endpoint throttles.
	WaitingTenants int `json:"waitingTenants"`
	// UnansweredSince is when the current request was sent, if it has been without a
	// response for long.
	UnansweredSince time.Time `json:"unansweredSince,omitzero"`
	Healthy         bool      `json:"healthy"`
	// DownSince is since when it is not healthy. Rejecting says that it answers, and
	// accepts nothing.
	DownSince time.Time `json:"downSince,omitzero"`
	Rejecting bool      `json:"rejecting,omitempty"`
	// Off says that the component has no endpoint for the signal, and drops all of it.
	Off bool `json:"off,omitempty"`
	// Problem is what is wrong with it, in a few words: "down 24 s, 540 waiting".
	Problem string `json:"problem,omitempty"`
	// Queue is the queue on disk, which the component's destinations of this signal
	// share; FullQueue says in words what happens because it is full.
	Queue     deliver.Queue `json:"queue"`
	FullQueue string        `json:"fullQueue,omitempty"`
	// FullInSeconds is when the queue is full if it keeps growing as it does; 0 if it
	// does not grow.
	FullInSeconds float64 `json:"fullInSeconds,omitempty"`
	// Stores reports whether data is delivered to another system: false for components
	// such as explore.sink.
	Stores bool `json:"stores"`

	Recent Recent `json:"recent"`
}

// Fill is the share of the queue's capacity that is waiting for the destination, from 0 to 1.
func (d *Destination) Fill() float64 {
	switch {
	case !d.Queue.FullSince.IsZero():
		return 1
	case d.Queue.Capacity <= 0:
		return 0
	}
	return min(1, float64(d.QueuedBytes)/float64(d.Queue.Capacity))
}

// Why is what the last error means, and what to do about it.
func (d *Destination) Why() (text, fix string) {
	if d.Cause == "" && d.LastError != "" {
		c := cause.OfDestination(errors.New(d.LastError), cause.Destination{Component: d.Component, URL: d.URL})
		return mask.WithoutPasswords(c.Text), mask.WithoutPasswords(c.Fix)
	}
	return d.Cause, d.Fix
}

// Recent is a destination's history over the last minutes, one value every 5 s,
// oldest first.
type Recent struct {
	In      []float64 `json:"in"`  // items per second
	Out     []float64 `json:"out"` // items per second
	Waiting []float64 `json:"waiting"`
	Dropped []float64 `json:"dropped"` // items per second
}

// Destinations are the deliveries, ordered by component id.
type Destinations interface{ Destinations() []Destination }

// OrphanedQueue is a queue whose destination is no longer in the configuration.
type OrphanedQueue struct {
	Folder, Component, Signal, URL string
	Items                          uint64
	Bytes                          int64
	Oldest, KeptUntil              time.Time
	Delivering                     bool // by a writer to the same destination
}
