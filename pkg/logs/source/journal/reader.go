package journal

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"collector/pkg/logs/source/journal/journalfile"
	"collector/pkg/logs/source/lines"
	"collector/pkg/logs/source/positions"
	"collector/pkg/pipeline"
)

const (
	// batchEntries bounds the entries after which positions are stored, whether or
	// not they gave lines.
	batchEntries = 10000
	// keepVolatile is how long the position of a file in memory is kept after that
	// has been removed.
	keepVolatile = 24 * time.Hour
)

// reader reads all files in one goroutine.
type reader struct {
	source  *Source
	store   *positions.Store
	decoder journalfile.Decoder

	from     *journalfile.Cursor // where files are begun that have no position; nil: at since
	imported bool                // from is another program's
	since    uint64              // µs

	marks   map[journalfile.ID]*mark // of files that are not known yet
	files   map[journalfile.ID]*file
	reading []*file // those that may have entries to read
	byInode map[inode]*file
	folders map[string]*folder // by path
	watched []string           // paths of folders
	removed []string           // keys of positions
	late    map[string]string  // positions of files that are not known any more
	memory  []span             // what is, or was, in files in memory
	retry   bool               // something has to be retried soon

	batch   batch
	entries int // that were read since positions were stored
	fields  []journalfile.Field
	last    journalfile.Cursor // of the newest entry that was read
	in      *folder            // where last is; nil if that is not known
	time    int64              // of the last line
	sent    map[string]*times  // of lines that may have been sent, by file
	sending map[string]*times  // of those in the batch, likewise
}

func newReader(s *Source, store *positions.Store) *reader {
	r := &reader{
		source: s, store: store, since: uint64(max(0, time.Now().Add(-max(0, s.cfg.MaxAge)).UnixMicro())),
		marks: readMarks(store), files: make(map[journalfile.ID]*file), byInode: make(map[inode]*file), folders: make(map[string]*folder),
		late: make(map[string]string), sending: make(map[string]*times),
	}
	if value, ok := store.Get(sentKey); ok {
		r.sent = readTimes(value)
	}
	r.startFrom()
	return r
}

// run reads until ctx ends.
func (r *reader) run(ctx context.Context) {
	r.look()
	r.forgetMissing()
	for {
		r.retry = false
		r.look()
		r.expire(r.source.now())
		r.refreshAll()
		r.memory = r.spans()
		if r.read(ctx) != nil || r.deliver(ctx) != nil {
			return
		}
		r.source.settle()
		var again <-chan time.Time
		if r.retry {
			again = time.After(retryEvery)
		}
		select {
		case <-ctx.Done():
			return
		case <-r.source.wake:
		case <-again:
		}
	}
}

func (r *reader) close() {
	for _, f := range r.files {
		if f.src != nil {
			_ = f.src.Close()
		}
	}
	r.decoder.Close()
}

// refreshAll makes new entries of all files readable. Those in memory come last:
// what has been copied from one to disk was in it before.
func (r *reader) refreshAll() {
	for _, volatile := range []bool{false, true} {
		for _, f := range r.files {
			if f.mark.Volatile == volatile {
				r.refresh(f)
			}
		}
	}
	clear(r.reading)
	r.reading = r.reading[:0]
	for _, f := range r.files {
		if f.active {
			r.reading = append(r.reading, f)
		}
	}
}

// read reads what there is, in the order of time.
func (r *reader) read(ctx context.Context) error {
	for {
		f := r.choose()
		if f == nil {
			return nil
		}
		if !f.ready {
			r.fill(f)
			continue
		}
		r.take(f)
		if r.batch.Full() || r.entries >= batchEntries {
			if err := r.deliver(ctx); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// choose returns the file with the oldest entry. A file is not opened before it is its
// turn, so that few files need buffers.
func (r *reader) choose() *file {
	var best *file
	var oldest uint64
	for _, f := range r.reading {
		if !f.active {
			continue
		}
		at := uint64(0)
		switch {
		case f.ready:
			at = f.next.Realtime
		case f.j.Position().Entries == 0:
			at = f.j.Header().HeadRealtime
		}
		if best == nil || at < oldest || at == oldest && f.next.Seqnum < best.next.Seqnum {
			best, oldest = f, at
		}
	}
	return best
}

// take puts the next entry of a file into the batch.
func (r *reader) take(f *file) {
	e := f.next
	if !r.copied(f, e) {
		fields, bad, err := f.j.Fields(r.fields[:0], e, int(r.source.cfg.MaxLineSize))
		r.fields = fields
		if (err != nil || bad > 0) && r.unread(f, err) {
			return
		}
		if bad > 0 {
			r.source.metrics.damagedFields.Add(float64(bad))
			r.harm(f, errFields, 0)
		}
		if err == nil && r.source.matches.selects(fields) {
			r.emit(f, e, fields)
		}
		clear(r.fields)
	}
	f.ready, f.idle = false, false
	f.mark.Position = e.Position
	f.mark.Time = e.Realtime
	if f.mark.Volatile {
		f.mark.remember(e)
	}
	r.last, r.in = f.j.Cursor(e), f.folder
	r.entries++
	f.touched = true
	r.source.reached(f.folder, e)
}

var errFields = errors.New("fields of entries are damaged")

// unread reports whether an entry is not to be taken now, since its fields can't be
// read: it may be possible later, or never.
func (r *reader) unread(f *file, err error) bool {
	if !r.update(f) {
		return true
	}
	if err == nil {
		return false
	}
	if r.waits(f, err) {
		f.active, r.retry = false, true
		return true
	}
	f.failing = time.Time{}
	r.harm(f, err, 1)
	return false
}

// emit makes a line of an entry.
func (r *reader) emit(f *file, e journalfile.Entry, fields []journalfile.Field) {
	s := r.source
	text, ok := s.text(fields)
	if !ok {
		s.metrics.errors.WithLabelValues(errorNoMessage).Inc()
		return
	}
	s.unit(f.folder, fields)
	to := s.labels.stream(fields)
	if to.drop {
		s.metrics.errors.WithLabelValues(errorEmptyLabels).Inc()
		s.dropped(f.folder)
		return
	}
	b := &r.batch
	if to.index < 0 {
		to.index = b.Open(to.labels)
		b.of = append(b.of, to)
	}
	var replaced, cut bool
	b.Text, replaced, cut = lines.Append(b.Text, text.bytes, text.size, text.whole, int(s.cfg.MaxLineSize))
	if replaced {
		s.metrics.invalidLines.Inc()
	}
	if cut || text.cut {
		s.metrics.cutLines.Inc()
	}
	b.Add(to.index, r.stamp(f))
	b.from = append(b.from, f.folder)
}

// message is the text of a line.
type message struct {
	bytes []byte
	size  int64
	whole bool
	cut   bool // a field in it was cut
}

// text makes the text of a line from the fields of an entry.
func (s *Source) text(fields []journalfile.Field) (message, bool) {
	if s.cfg.FormatAsJSON {
		return asJSON(fields), true
	}
	for i := len(fields) - 1; i >= 0; i-- {
		if f := &fields[i]; f.Name == "MESSAGE" {
			return message{bytes: []byte(f.Value), size: f.Size, whole: f.Whole}, true
		}
	}
	return message{}, false
}

// asJSON is an object of all fields. Of one that occurs several times, it has the
// last, as Alloy's.
func asJSON(fields []journalfile.Field) message {
	values := make(map[string]string, len(fields))
	cut := false
	for i := range fields {
		f := &fields[i]
		value := f.Value
		if !f.Whole {
			text, _, _ := lines.Append(nil, []byte(value), f.Size, false, len(value))
			value, cut = string(text), true
		}
		values[f.Name] = value
	}
	b, err := json.Marshal(values)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return message{bytes: b, size: int64(len(b)), whole: true, cut: cut}
}

// deliver stores the times of the lines in the batch, hands it to every sink, and then
// stores the positions. It fails only
// when ctx ends.
func (r *reader) deliver(ctx context.Context) error {
	if r.batch.Len() > 0 {
		if err := r.write(ctx, r.prepare(), r.batch.Logs()); err != nil {
			return err
		}
		r.source.metrics.lines.Add(float64(r.batch.Len()))
		r.source.delivered(&r.batch)
		r.batch.reset()
	}
	values := r.late
	r.late = make(map[string]string)
	for _, f := range r.files {
		if f.touched {
			f.touched = false
			values[filePrefix+f.id.String()] = encode(f.mark)
		}
	}
	if r.entries > 0 {
		values[cursorKey] = encode(last{Cursor: r.last.String(), Time: r.time})
		r.source.at(r.in, r.last.String())
		r.entries = 0
	}
	if len(values) > 0 {
		r.store.Put(values)
	}
	if len(r.removed) > 0 {
		r.store.Delete(r.removed...)
		r.removed = nil
	}
	return nil
}

// write stores the times of entries, and then gives them to the sinks. While it waits for
// them, or for room on the disk, it looks at the files: of what is removed then, it must be
// known what was in it.
func (r *reader) write(ctx context.Context, times map[string]string, logs pipeline.Logs) error {
	done := make(chan error, 1)
	s := r.source
	go func() {
		err := r.store.PutBefore(ctx, times)
		if err == nil {
			err = lines.Deliver(ctx, s.cfg.ForwardTo, logs, s.metrics.rejected, s.warn)
		}
		done <- err
	}()
	woken := false
	for {
		select {
		case err := <-done:
			if woken {
				r.source.look()
			}
			return err
		case <-r.source.wake:
			woken = true
			r.look()
			r.refreshAll()
		}
	}
}

func (s *Source) warn(message string, args ...any) { s.quiet.Warn(s.opts.Logger, "", message, args...) }
