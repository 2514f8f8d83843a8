package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/durable"
	"collector/pkg/queue"
)

const (
	// keepOrphans is how long what is waiting for a destination that is no longer in
	// the configuration is kept; then it is dropped, reason "too_old".
	keepOrphans = 30 * 24 * time.Hour
	// reasonTakenAway is why items no longer wait in a queue that nobody of this
	// process has touched: `collector queue` has delivered or dropped them.
	reasonTakenAway = "taken_by_command"
	// lookEvery is how often queues that nobody uses are looked at again.
	lookEvery = time.Minute
)

// Orphans are the queues below the storage path that no writer of the
// configuration has: that of a writer that was renamed or removed, or that had an
// endpoint that is no longer there. Their data is delivered by a writer
// to the same destination, if there is one, before its own; otherwise it is kept
// for keepOrphans, named and counted.
//
// A queue that nobody delivers is not held open, so that `collector queue` can
// take it while the collector runs.
type Orphans struct {
	root   string
	logger *slog.Logger

	mu      sync.Mutex
	used    map[string]bool // folders that writers of the configuration have
	below   []string        // folders whose queues may all be those of writers
	keys    map[string]bool // of their destinations
	folders map[string]*orphan
	changed chan struct{} // closed when there may be more to claim
}

// orphan is one queue. It is guarded by Orphans.mu.
type orphan struct {
	queue.Folder
	readers []orphanReader // as in Destinations
	open    *queue.Queue   // while somebody delivers it
	users   int
	inUse   bool // by another process
}

// orphanReader is what is waiting for one destination.
type orphanReader struct {
	past    account // of when the queue was open, without what is waiting
	waiting queue.Stats
	claimed bool
}

// Use is what a component of the configuration has of the storage path.
type Use struct {
	Dirs []string // folders of queues
	Keys []string // of its destinations, see Destination.Key
	// Below is a folder whose queues all count as used: it is not known yet of which
	// there will be writers. "" is none.
	Below string
}

// NewOrphans makes an inventory of what is below root. It looks at nothing yet.
func NewOrphans(root string, logger *slog.Logger) *Orphans {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Orphans{root: root, logger: logger, folders: map[string]*orphan{}, changed: make(chan struct{})}
}

// Settle looks at what is on disk when the writers of the configuration are known
// and have not started yet, and names what none of them has.
func (o *Orphans) Settle(uses []Use) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.used, o.keys, o.below = map[string]bool{}, map[string]bool{}, nil
	for _, u := range uses {
		if u.Below != "" {
			o.below = append(o.below, filepath.Clean(u.Below)+string(filepath.Separator))
		}
		for _, dir := range u.Dirs {
			o.used[filepath.Clean(dir)] = true
		}
		for _, key := range u.Keys {
			o.keys[key] = true
		}
	}
	for dir, f := range o.folders {
		if o.isUsed(dir) && f.open == nil {
			delete(o.folders, dir) // its writer is back, and counts what is waiting
		}
	}
	o.look()
	for _, f := range o.folders {
		o.name(f)
	}
	o.signal()
}

// Run looks again once in a while, until ctx ends: data that is too old is dropped, and
// what a command has taken is noticed.
func (o *Orphans) Run(ctx context.Context) {
	for sleep(ctx, lookEvery) {
		o.mu.Lock()
		o.look()
		o.signal()
		o.mu.Unlock()
	}
}

// look brings the inventory up to date. The caller holds o.mu.
func (o *Orphans) look() {
	if o.used == nil {
		return
	}
	found, err := queue.Find(o.root)
	if err != nil {
		o.logger.Warn("cannot look for queues without a writer", "dir", o.root, "err", err)
	}
	there := map[string]bool{}
	for _, f := range found {
		there[f.Dir] = true
		if o.isUsed(f.Dir) {
			continue
		}
		if o.folders[f.Dir] == nil {
			o.folders[f.Dir] = &orphan{Folder: f, readers: make([]orphanReader, len(f.Destinations))}
		}
		o.inspect(o.folders[f.Dir])
	}
	for dir, f := range o.folders {
		if !there[dir] && f.open == nil {
			f.emptied()
		}
	}
}

// isUsed reports whether a writer has, or may have, the queue in dir. The caller holds
// o.mu.
func (o *Orphans) isUsed(dir string) bool {
	return o.used[dir] || slices.ContainsFunc(o.below, func(folder string) bool { return strings.HasPrefix(dir, folder) })
}

// inspect opens a queue that nobody delivers, to see what is waiting in it, and
// removes one in which nothing does. The caller holds o.mu.
func (o *Orphans) inspect(f *orphan) {
	if f.open != nil {
		return
	}
	q, err := o.openQueue(f)
	f.inUse = errors.Is(err, queue.ErrInUse)
	if err != nil {
		if !f.inUse {
			o.logger.Warn("cannot open a queue without a writer", "dir", f.Dir, "err", err)
		}
		return
	}
	if err := q.Expire(); err != nil {
		o.logger.Warn("cannot read a queue without a writer", "dir", f.Dir, "err", err)
	}
	o.close(f, q)
}

func (o *Orphans) openQueue(f *orphan) (*queue.Queue, error) {
	q, err := queue.OpenFolder(f.Folder, queue.Options{MaxAge: keepOrphans, Logger: o.logger, Description: f.Description})
	if err != nil {
		return nil, err
	}
	for i, s := range q.Stats() {
		r := &f.readers[i]
		r.takenAway(s.Received)
		r.waiting = queue.Stats{}
	}
	return q, nil
}

// close ends the use of a queue, and removes it if nothing waits in it any more.
// The caller holds o.mu.
func (o *Orphans) close(f *orphan, q *queue.Queue) {
	stats := q.Stats()
	waiting := false
	for i, s := range stats {
		f.readers[i].waiting = s
		waiting = waiting || s.Queued > 0
	}
	var err error
	if waiting {
		err = q.Close()
	} else if err = q.Remove(); err == nil && filepath.Dir(f.Dir) != filepath.Clean(o.root) {
		_ = os.Remove(filepath.Dir(f.Dir)) // where it was the last one there
	}
	for i, s := range stats {
		r := &f.readers[i]
		s.Received -= s.Queued
		r.waiting = queue.Stats{Queued: s.Queued, QueuedBytes: s.QueuedBytes, Oldest: s.Oldest}
		s.Queued, s.QueuedBytes, s.Oldest = 0, 0, time.Time{}
		r.past.add(s)
	}
	if err != nil {
		o.logger.Warn("cannot close a queue without a writer", "dir", f.Dir, "err", err)
	}
}

// takenAway records that only so many items are still waiting when the queue is opened
// again.
func (r *orphanReader) takenAway(left uint64) {
	if r.waiting.Queued > left {
		r.past.drop(reasonTakenAway, r.waiting.Queued-left)
	}
}

// emptied notes that the folder of a queue is no longer there.
func (f *orphan) emptied() {
	for i := range f.readers {
		f.readers[i].takenAway(0)
		f.readers[i].waiting = queue.Stats{}
	}
}

// name says what is waiting for a destination that no writer has. The caller holds o.mu.
func (o *Orphans) name(f *orphan) {
	for i, d := range f.Destinations {
		r := &f.readers[i]
		switch {
		case r.waiting.Queued == 0:
		case o.keys[d.Key]:
			o.logger.Info("delivering data of a removed writer through a writer to the same destination",
				"writer", f.Component, "signal", f.Signal, "destination", d.URL, "items", r.waiting.Queued, "dir", f.Dir)
		default:
			o.logger.Warn("data is waiting for a destination that is no longer in the configuration; deliver it with `collector queue drain`, or delete it with `collector queue drop`",
				"writer", f.Component, "signal", f.Signal, "destination", d.URL, "items", r.waiting.Queued, "bytes", r.waiting.QueuedBytes,
				"oldest", r.waiting.Oldest.UTC().Format(time.RFC3339), "kept_until", r.waiting.Oldest.Add(keepOrphans).UTC().Format(time.RFC3339), "dir", f.Dir)
		}
	}
}

func (o *Orphans) signal() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// claim is a reader of a queue that a writer delivers.
type claim struct {
	o      *Orphans
	f      *orphan
	n      int
	reader *queue.Reader
}

// claim gives what is waiting for a destination to a writer that sends there, and a
// channel that is closed when there may be more. The writer releases each.
func (o *Orphans) claim(key string) (claims []claim, more <-chan struct{}) {
	if o == nil || key == "" {
		return nil, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.folders {
		for i, d := range f.Destinations {
			if r := &f.readers[i]; d.Key != key || r.claimed || r.waitingNow(f, i) == 0 {
				continue
			}
			if err := o.use(f); err != nil {
				o.logger.Warn("cannot deliver the data of a queue without a writer", "dir", f.Dir, "err", err)
				continue
			}
			f.readers[i].claimed = true
			claims = append(claims, claim{o: o, f: f, n: i, reader: f.open.Reader(d.Reader)})
		}
	}
	return claims, o.changed
}

// Changed returns a channel that is closed when more may wait.
func (o *Orphans) Changed() <-chan struct{} {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

// Waits reports whether data waits that claim would give to a destination.
func (o *Orphans) Waits(key string) bool {
	if o == nil || key == "" {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.folders {
		for i, d := range f.Destinations {
			if d.Key == key && f.readers[i].waitingNow(f, i) > 0 {
				return true
			}
		}
	}
	return false
}

// waitingNow counts the items of a reader. The caller holds Orphans.mu.
func (r *orphanReader) waitingNow(f *orphan, i int) uint64 {
	if f.open == nil {
		return r.waiting.Queued
	}
	return f.open.Reader(f.Destinations[i].Reader).Queued()
}

// use opens a queue to deliver it, out of the way of a component that is called
// like its writer. The caller holds o.mu.
func (o *Orphans) use(f *orphan) error {
	if f.open == nil {
		if err := o.moveAside(f); err != nil {
			return err
		}
		q, err := o.openQueue(f)
		if err != nil {
			return err
		}
		f.open = q
	}
	f.users++
	return nil
}

// moveAside moves a queue to where no component has its own. The caller holds o.mu.
func (o *Orphans) moveAside(f *orphan) error {
	aside := filepath.Join(o.root, queue.SetAside)
	if filepath.Dir(f.Dir) == aside {
		return nil
	}
	if err := durable.Own(aside); err != nil {
		return err
	}
	lock, err := durable.Lock(f.Dir) // nobody else uses it
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	name := strings.TrimSuffix(f.Component+"-"+f.Signal, "-")
	for n := 1; ; n++ {
		dir := filepath.Join(aside, fmt.Sprintf("%s-%d", name, n))
		if _, err := os.Lstat(dir); err == nil {
			continue
		}
		if err := os.Rename(f.Dir, dir); err != nil {
			return err
		}
		delete(o.folders, f.Dir)
		f.Dir = dir
		o.folders[dir] = f
		return nil
	}
}

// release ends a claim.
func (c claim) release() {
	c.o.mu.Lock()
	defer c.o.mu.Unlock()
	c.f.readers[c.n].claimed = false
	if c.f.users--; c.f.users > 0 {
		return
	}
	q := c.f.open
	c.f.open = nil
	c.o.close(c.f, q)
	c.o.signal() // somebody may have waited for it
}

// setAside takes the queue of a writer away from it when data waits in it for an
// endpoint that the writer has no longer. The other endpoints' data is delivered
// from there first. now are the writer's destinations.
func (o *Orphans) setAside(dir string, now queue.Description) error {
	if o == nil {
		return nil
	}
	f, ok := queue.ReadFolder(dir)
	if !ok {
		return nil
	}
	var gone, added []int
	for i, d := range f.Destinations {
		if !slices.ContainsFunc(now.Destinations, func(n queue.Destination) bool { return n.Reader == d.Reader }) {
			gone = append(gone, i)
		}
	}
	for i, n := range now.Destinations {
		if !slices.ContainsFunc(f.Destinations, func(d queue.Destination) bool { return d.Reader == n.Reader }) {
			added = append(added, i)
		}
	}
	if len(gone) <= len(added) {
		return nil // a changed endpoint replaces the one in whose place it is
	}
	f.Component, f.Signal = now.Component, now.Signal
	for i := range f.Destinations {
		for _, n := range now.Destinations {
			if n.Reader == f.Destinations[i].Reader {
				f.Destinations[i] = n
			}
		}
	}
	for i, n := range added {
		to := &f.Destinations[gone[i]]
		to.URL, to.Key = now.Destinations[n].URL, now.Destinations[n].Key
	}
	return o.orphan(f, gone[len(added):])
}

// orphan makes an orphan of a queue if anything waits for one of its readers.
func (o *Orphans) orphan(f queue.Folder, readers []int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	q, err := queue.OpenFolder(f, queue.Options{Logger: o.logger, Description: f.Description})
	if err != nil {
		return err
	}
	stats := q.Stats()
	err = q.Close()
	if err != nil || !slices.ContainsFunc(readers, func(i int) bool { return stats[i].Queued > 0 }) {
		return err
	}
	left := &orphan{Folder: f, readers: make([]orphanReader, len(f.Destinations))}
	for i := range stats {
		left.readers[i].waiting = stats[i]
	}
	o.folders[f.Dir] = left
	if err := o.moveAside(left); err != nil {
		delete(o.folders, f.Dir)
		return err
	}
	o.inspect(left)
	o.name(left)
	o.signal()
	return nil
}

// OrphanStatus is what is waiting in a queue without a writer, for one destination.
type OrphanStatus struct {
	Dir, Component, Signal string
	Destination, URL       string
	Items                  uint64
	Bytes                  int64
	Oldest, KeptUntil      time.Time
	Delivering             bool // by a writer to the same destination
	InUse                  bool // by another process
}

// Status lists what is waiting.
func (o *Orphans) Status() []OrphanStatus {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []OrphanStatus
	for _, f := range o.folders {
		for i, d := range f.Destinations {
			s := f.accountOf(i)
			if s.queued == 0 {
				continue
			}
			all = append(all, OrphanStatus{
				Dir: f.Dir, Component: f.Component, Signal: f.Signal, Destination: d.Reader, URL: d.URL,
				Items: s.queued, Bytes: s.queuedBytes, Oldest: s.oldest, KeptUntil: s.oldest.Add(keepOrphans),
				Delivering: f.readers[i].claimed || o.keys[d.Key], InUse: f.inUse,
			})
		}
	}
	slices.SortFunc(all, func(a, b OrphanStatus) int {
		return strings.Compare(a.Dir+"\x00"+a.Destination, b.Dir+"\x00"+b.Destination)
	})
	return all
}

// accountOf sums up the account of one reader. The caller holds Orphans.mu.
func (f *orphan) accountOf(i int) account {
	r := &f.readers[i]
	var a account
	a.add(queue.Stats{Received: r.past.received, Delivered: r.past.delivered, Dropped: r.past.dropped, DamagedBlocks: r.past.damaged})
	now := r.waiting
	now.Received = now.Queued
	if f.open != nil {
		now = f.open.Stats()[i]
	}
	a.add(now)
	return a
}

// Describe implements prometheus.Collector. The queues are not known before.
func (o *Orphans) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector: the accounts of the queues, as their writers
// had them, with the label queue, which the metrics of writers don't have.
func (o *Orphans) Collect(ch chan<- prometheus.Metric) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.folders {
		place, _ := filepath.Rel(o.root, f.Dir)
		module, id := path.Split("/" + f.Component)
		if module = strings.TrimSuffix(module, "/"); module == "" {
			module = "/"
		}
		for i, d := range f.Destinations {
			a := f.accountOf(i)
			desc := describe(f.Signal, d.Reader, prometheus.Labels{"component_id": id, "component_path": module, "queue": place})
			desc.account(ch, a)
			age := 0.0
			if !a.oldest.IsZero() {
				age = max(0, time.Since(a.oldest).Seconds())
			}
			ch <- prometheus.MustNewConstMetric(desc.oldest, prometheus.GaugeValue, age)
		}
	}
}
