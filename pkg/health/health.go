// Package health derives the health of a component from what it works with: destinations
// and their queue, a Docker Engine, targets, log tails. A component that shows these by
// the interfaces of package inspect has its health from here, and from nowhere else. One
// that reads something else, such as a file, reports failures by Health() error.
package health

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"collector/pkg/cause"
	"collector/pkg/deliver"
	"collector/pkg/human"
	"collector/pkg/inspect"
	"collector/pkg/queue"
)

// Extent is how much of something fails.
type Extent int

// The extents.
const (
	None Extent = iota
	Some
	All
)

// Finding is what is wrong with a component, or with a part of it.
type Finding struct {
	Extent  Extent
	Message string // "down 24 s, 540 waiting"; empty where nothing fails
	// Failed says that the component does none of its work: none of its destinations
	// accepts data. Targets, tails and what it reads are work that others give it.
	Failed bool
	// Own says that the component itself reports a problem.
	Own bool
}

// Of is the health of a component. It takes snapshots, and waits for nothing.
func Of(component any, now time.Time) Finding {
	var out Finding
	for _, p := range partsOf(component) {
		out.add(p.look(now))
	}
	return out
}

// Parts names what a component's health follows from.
func Parts(component any) []string {
	var names []string
	for _, p := range partsOf(component) {
		names = append(names, p.name)
	}
	return names
}

// The names of the parts.
const (
	Destinations = "destinations"
	Queue        = "queue"
	Engine       = "engine"
	Targets      = "targets"
	Tails        = "tails"
	Input        = "input"
)

// part is something that a component works with.
type part struct {
	name string
	look func(now time.Time) Finding
}

func partsOf(component any) (parts []part) {
	if c, ok := component.(inspect.Deliverer); ok {
		all := sync.OnceValue(c.Destinations)
		parts = append(parts,
			part{Destinations, func(now time.Time) Finding { return destinations(all(), now) }},
			part{Queue, func(time.Time) Finding { return queues(all()) }})
	}
	if c, ok := component.(inspect.EngineUser); ok {
		parts = append(parts, part{Engine, func(now time.Time) Finding { return engine(c.Engine(), now) }})
	}
	if c, ok := component.(inspect.Scraper); ok {
		parts = append(parts, part{Targets, func(time.Time) Finding { return targets(c) }})
	}
	if c, ok := component.(inspect.Tailer); ok {
		parts = append(parts, part{Tails, func(time.Time) Finding { return tails(c) }})
	}
	if c, ok := component.(interface{ Health() error }); ok {
		parts = append(parts, part{Input, func(time.Time) Finding { return input(c.Health()) }})
	}
	return parts
}

func input(err error) Finding {
	if err == nil {
		return Finding{}
	}
	if partial := (inspect.Partial{}); errors.As(err, &partial) {
		return Finding{Extent: Some, Message: cause.Words(err.Error()), Own: true}
	}
	return Finding{Extent: All, Message: cause.Words(err.Error()), Own: true}
}

func (f *Finding) add(other Finding) {
	f.Extent = max(f.Extent, other.Extent)
	f.Failed, f.Own = f.Failed || other.Failed, f.Own || other.Own
	switch {
	case f.Message == "":
		f.Message = other.Message
	case other.Message != "":
		f.Message += "; " + other.Message
	}
}

// extent is how much n of all are.
func extent(n, all int) Extent {
	switch n {
	case 0:
		return None
	case all:
		return All
	}
	return Some
}

// count is "3 of 20 targets" or "all 20 targets"; what is in the singular.
func count(n, all int, what string) string {
	if n == all {
		return "all " + human.Many(all, what)
	}
	return human.Count(float64(n)) + " of " + human.Many(all, what)
}

// some is what is wrong with n of all things: "3 of 20 targets down".
func some(n, all int, what, how string) Finding {
	switch {
	case n == 0:
		return Finding{}
	case all == 1:
		return Finding{Extent: All, Message: "its only " + what + " is " + how}
	}
	return Finding{Extent: extent(n, all), Message: count(n, all, what) + " " + how}
}

func targets(c inspect.Scraper) Finding {
	if counter, ok := c.(inspect.Counter); ok {
		down, all := counter.Failing()
		return some(down, all, "target", "down")
	}
	down, all := 0, c.ScrapeTargets()
	for i := range all {
		if all[i].State == "down" {
			down++
		}
	}
	return some(down, len(all), "target", "down")
}

func tails(c inspect.Tailer) Finding {
	if counter, ok := c.(inspect.Counter); ok {
		failing, all := counter.Failing()
		return some(failing, all, "log tail", "failing")
	}
	failing, all := 0, c.LogTails()
	for i := range all {
		if all[i].Error != "" {
			failing++
		}
	}
	return some(failing, len(all), "log tail", "failing")
}

func engine(e inspect.Engine, now time.Time) Finding {
	switch {
	case !e.Connected && e.Error != "":
		return Finding{Extent: All, Message: "Docker unreachable" + lasting(e.Since, now) + ": " + cause.Words(firstLine(e.Error))}
	case e.Error != "":
		return Finding{Extent: Some, Message: "Docker rejects the filters: " + firstLine(e.Error)}
	case e.Connected && len(e.Refused) > 0:
		return Finding{Extent: Some, Message: "Docker does not allow " + strings.Join(e.Refused, ", ")}
	}
	return Finding{}
}

// lasting is " for 24 s", or nothing where since is not known.
func lasting(since, now time.Time) string {
	if since.IsZero() {
		return ""
	}
	d := max(0, now.Sub(since))
	if d < time.Minute {
		return fmt.Sprintf(" for %d s", int(d.Seconds()))
	}
	return " for " + human.Duration(d)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

func destinations(all []deliver.Status, now time.Time) Finding {
	var down []deliver.Status
	for i := range all {
		if !all[i].Healthy {
			down = append(down, all[i])
		}
	}
	if len(down) == 0 {
		return Finding{}
	}
	f := Finding{Extent: extent(len(down), len(all)), Failed: len(down) == len(all)}
	if off := nowhere(all); off != "" {
		f.Message = off
		return f
	}
	first := slices.MinFunc(down, func(a, b deliver.Status) int { return a.DownSince.Compare(b.DownSince) })
	switch says := Destination(&first, now); {
	case len(all) == 1:
		f.Message = says
	case len(down) == 1:
		f.Message = fmt.Sprintf("%s: %s (%s)", nameOf(&first, all), says, count(1, len(all), "destination"))
	default:
		waiting := uint64(0)
		for i := range down {
			waiting += down[i].Queued
		}
		f.Message = count(len(down), len(all), "destination") + " down, the longest" + lasting(first.DownSince, now) + amount(waiting, "waiting")
	}
	return f
}

// nowhere says that a component has no destination for any of its signals, and why.
func nowhere(all []deliver.Status) string {
	dropped := uint64(0)
	for i := range all {
		if !all[i].Off {
			return ""
		}
		dropped += all[i].Received
	}
	why := strings.TrimSuffix(all[0].LastError, ".")
	return "no endpoint, all data is dropped" + amount(dropped, "so far") + ": " + why
}

// Destination says what is wrong with a destination that has failed: "down 24 s, 540
// waiting".
func Destination(d *deliver.Status, now time.Time) string {
	switch {
	case d.Healthy && d.Unanswered.IsZero():
		return ""
	case d.Healthy:
		return "no answer" + lasting(d.Unanswered, now) + amount(d.Queued, "waiting")
	case d.Off:
		return "no endpoint" + amount(d.Received, "dropped")
	case d.Rejecting:
		dropped := uint64(0)
		for _, n := range d.Dropped {
			dropped += n
		}
		return "rejects all data" + lasting(d.DownSince, now) + amount(dropped, "dropped")
	}
	return "down" + strings.TrimPrefix(lasting(d.DownSince, now), " for") + amount(d.Queued, "waiting")
}

// amount is ", 540 waiting", or nothing for 0.
func amount(n uint64, word string) string {
	if n == 0 {
		return ""
	}
	return ", " + human.Count(float64(n)) + " " + word
}

// nameOf distinguishes a destination from the component's others: by its signal, or its
// host.
func nameOf(d *deliver.Status, all []deliver.Status) string {
	for i := range all {
		if all[i].Signal != d.Signal {
			return d.Signal
		}
	}
	if u, err := url.Parse(d.URL); err == nil && u.Host != "" {
		return u.Host
	}
	return d.ID
}

// queues says which queues are full or cannot be written to. The destinations of
// one signal share one.
func queues(all []deliver.Status) (out Finding) {
	seen := map[string]bool{}
	for i := range all {
		if !seen[all[i].Signal] {
			seen[all[i].Signal] = true
			out.add(queueFinding(&all[i]))
		}
	}
	return out
}

func queueFinding(d *deliver.Status) Finding {
	if d.Queue.Failing != "" {
		return Finding{Extent: All, Message: "cannot write to the queue: " + firstLine(d.Queue.Failing)}
	}
	if d.Queue.FullSince.IsZero() {
		return Finding{}
	}
	return Finding{Extent: Some, Message: FullQueue(d)}
}

// FullQueue says what a full queue costs: "queue full (200 kB): 5,880 spans refused,
// senders retry".
func FullQueue(d *deliver.Status) string {
	costs := "the oldest data is dropped"
	switch d.Queue.WhenFull {
	case queue.Wait.String():
		costs = "senders wait"
	case queue.Refuse.String():
		costs = "senders retry"
	}
	unit := strings.TrimSuffix(human.Unit(d.Signal), "s")
	if n := d.Dropped[queue.ReasonFull]; n > 0 {
		costs = human.Many(int(n), unit) + " dropped, the oldest first"
	}
	if n := d.Queue.Refused; n > 0 {
		costs = human.Many(int(n), unit) + " refused, " + costs
	}
	return "queue full (" + human.Limit(d.Queue.Capacity) + "): " + costs
}
