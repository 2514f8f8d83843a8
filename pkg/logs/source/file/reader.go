package file

import (
	"context"
	"errors"
	"slices"
	"time"

	"collector/pkg/backoff"
	"collector/pkg/logs/source/lines"
	"collector/pkg/logs/source/positions"
	"collector/pkg/pipeline"
)

// reader reads the files, one after the other, in one goroutine. It delivers a batch
// when that is full, or when nothing more is there to be read.
type reader struct {
	source    *Source
	importErr error                 // another program's positions could not be read
	stored    map[string][]string   // keys of stored positions by path
	past      map[fileID][]pastMark // what has been read
	byID      map[fileID][]*part    // what is open
	kept      map[*part]struct{}    // what is open, rotated away and quiet
	buf       []byte
	batch     batch
	touched   []*tail  // whose positions have changed
	ended     []*tail  // whose targets have left
	orphans   []string // keys of positions that were adopted under other labels
	time      int64    // of the last entry
}

type batch struct {
	lines.Batch
	tails []*tail // of the streams, by their numbers
}

// reset empties the batch and keeps its buffers, but no line.
func (b *batch) reset() {
	b.Reset()
	for _, t := range b.tails {
		t.stream = -1
	}
	clear(b.tails)
	b.tails = b.tails[:0]
}

// newReader imports the positions of Alloy or Promtail if there are no own ones
// yet.
func newReader(s *Source, store *positions.Store) *reader {
	r := &reader{
		source: s, byID: make(map[fileID][]*part), kept: make(map[*part]struct{}),
		stored: make(map[string][]string), past: make(map[fileID][]pastMark),
	}
	if store.Fresh() {
		values, from, err := readPositions(s.opts.Dir, s.cfg.LegacyPositionsFile)
		if err != nil && !isMissing(err) {
			r.importErr = err
			s.metrics.damaged.Inc()
			s.opts.Logger.Error("cannot import positions", "file", from, "err", err, "on_positions_file_error", s.cfg.OnPositionsFileError)
		}
		if len(values) > 0 {
			s.opts.Logger.Info("continuing from the positions of another program", "file", from, "positions", len(values))
			store.Put(values)
		}
	}
	for key, value := range store.All() {
		path, _ := splitKey(key)
		r.stored[path] = append(r.stored[path], key)
		marks, _ := decodeMarks(value)
		for _, m := range marks {
			if !m.imported() {
				r.past[m.fileID] = append(r.past[m.fileID], pastMark{key, m})
			}
		}
	}
	return r
}

// run reads until ctx ends.
func (r *reader) run(ctx context.Context) {
	defer r.close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.source.wake:
		}
		if backoff.Sleep(ctx, gather, nil) != nil {
			return
		}
		for t := r.source.next(); t != nil; t = r.source.next() {
			if r.serve(ctx, t) != nil {
				return
			}
			if (r.batch.Full() || len(r.ended) > 0) && r.deliver(ctx) != nil {
				return
			}
			if ctx.Err() != nil {
				return
			}
		}
		if r.deliver(ctx) != nil {
			return
		}
		r.source.store.Delete(r.orphans...)
		r.orphans = nil
		r.forget(r.source.takeForgotten())
	}
}

func (r *reader) close() {
	for _, t := range append(r.source.snapshot(), r.ended...) {
		for _, p := range t.parts {
			p.close()
		}
		t.parts = nil
	}
}

// serve reads a piece of what a tail has.
func (r *reader) serve(ctx context.Context, t *tail) error {
	s := r.source
	if err := r.refused(t); err != nil {
		r.setState(t, stateFailed, err)
		r.settle(t, false)
		return nil
	}
	if s.cfg.compressed() {
		more, err := r.serveCompressed(ctx, t)
		r.settle(t, more)
		return err
	}
	if err := r.check(ctx, t); err != nil {
		return err
	}
	more := false
	for i := 0; i < len(t.parts) && !more; i++ {
		p := t.parts[i]
		before := p.offset
		m, err := r.read(t, p)
		switch {
		case errors.Is(err, errTruncated):
			r.truncated(t, p)
			more = true
		case err != nil:
			r.setState(t, stateFailed, err)
		}
		more = more || m
		if p.offset != before {
			p.grown = time.Now()
			r.touch(t)
		}
		if p.rotated && !m && err == nil && r.mayClose(t, i) {
			r.finish(t, i)
			i--
		}
	}
	r.closeExcess()
	r.settle(t, more)
	return nil
}

// read reads a piece of p. What may have been sent before is read in one piece, as it
// was when it was sent.
func (r *reader) read(t *tail, p *part) (more bool, err error) {
	for {
		more, err = p.read(r.buffer(), int(r.source.cfg.MaxLineSize), r.emitter(t, p))
		if !more || err != nil || len(p.again) == 0 {
			return more, err
		}
	}
}

// refused reports why no file can be read at all, or not this one.
func (r *reader) refused(t *tail) error {
	if r.source.textErr != nil {
		return r.source.textErr
	}
	lost := r.importErr
	if lost == nil && r.source.store.Lost() {
		lost = errors.New("its position was lost")
	}
	if lost == nil || t.started || r.source.cfg.OnPositionsFileError != onErrorSkip || len(r.marksOf(t)) > 0 {
		return nil
	}
	return errors.Join(lost, errors.New("on_positions_file_error says to skip it"))
}

func (r *reader) buffer() []byte {
	if r.buf == nil {
		r.buf = make([]byte, chunkSize+lastSize)
	}
	return r.buf
}

// settle decides when a tail is read again, and ends it if its target has left.
func (r *reader) settle(t *tail, more bool) {
	s := r.source
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.restless || t.keeps {
		s.uneasy--
	}
	t.restless, t.keeps = t.zip.waiting && !more, false
	for _, p := range t.parts {
		_, kept := r.kept[p]
		t.keeps = t.keeps || kept
		t.restless = t.restless || p.rotated && !kept
	}
	if t.restless || t.keeps {
		s.uneasy++
	}
	if n := len(t.parts); n > 0 {
		last := t.parts[n-1]
		t.status.offset, t.status.open = last.offset, true
		if t.status.partial = 0; !more { // what is left has no line end yet
			t.status.partial = max(0, t.status.size-last.offset)
		}
		if t.status.rotated = n - 1; last.rotated {
			t.status.rotated = n
		}
	} else {
		t.status.open, t.status.rotated = false, 0
	}
	if !s.cfg.compressed() {
		t.status.measure(more)
	}
	if more {
		s.enqueue(t)
		return
	}
	if t.left && !t.restless && !t.keeps {
		r.end(t)
	}
}

// end removes a tail. It holds the source's mu.
func (r *reader) end(t *tail) {
	s := r.source
	if len(t.parts) > 0 {
		// The position stays as it is, also for the same file under another path.
		for _, p := range t.parts {
			r.past[p.id] = append(slices.DeleteFunc(r.past[p.id], func(m pastMark) bool { return m.key == t.key }), pastMark{t.key, p.mark()})
		}
		r.touch(t)
		r.ended = append(r.ended, t)
	}
	t.gone = true
	delete(s.tails, t.key)
	s.unindex(t, cleanPath(t.path))
	if t.real != "" {
		s.unindex(t, t.real)
	}
	s.metrics.forget(t.path)
}

// touch records that the position of t has changed.
func (r *reader) touch(t *tail) {
	if !t.touched {
		t.touched = true
		r.touched = append(r.touched, t)
	}
}

// emitter puts lines that are read from p now into the batch. Their times follow one
// another, so that few numbers are enough to store them.
func (r *reader) emitter(t *tail, p *part) func(line []byte, size int64) {
	now := r.source.now().UnixNano()
	return func(line []byte, size int64) {
		s, b := r.source, &r.batch
		if t.stream < 0 {
			t.stream = b.Open(t.labels)
			b.tails = append(b.tails, t)
		}
		var replaced, cut bool
		b.Text, replaced, cut = p.text.appendTo(b.Text, line, size, int(s.cfg.MaxLineSize))
		if p.sending == nil {
			p.sending = &sending{part: p, base: p.mark()}
			t.sending = append(t.sending, p.sending)
		}
		var at int64
		at, r.time = p.sending.stamp(r.time, now)
		b.Add(t.stream, at)
		if replaced {
			s.metrics.invalidLines.Inc()
		}
		if cut {
			s.metrics.cutLines.Inc()
		}
	}
}

// deliver stores the times of the lines in the batch, hands it to every sink, and then
// moves the positions. It fails only when ctx ends.
func (r *reader) deliver(ctx context.Context) error {
	if s := r.source; r.batch.Len() > 0 {
		logs := r.batch.Logs()
		r.lag()
		if err := r.prepare(ctx); err != nil {
			return err
		}
		if err := lines.Deliver(ctx, s.cfg.ForwardTo, logs, s.metrics.rejected, s.warn); err != nil {
			return err
		}
		r.count(logs)
		for _, t := range r.batch.tails {
			t.sent()
		}
		r.batch.reset()
	}
	if len(r.touched) > 0 {
		values := make(map[string]string, len(r.touched))
		for _, t := range r.touched {
			t.touched = false
			t.stored = t.marks()
			values[t.key] = encodeMarks(t.stored)
			r.measure(t)
		}
		r.source.store.Put(values)
		clear(r.touched)
		r.touched = r.touched[:0]
	}
	for _, t := range r.ended {
		for len(t.parts) > 0 {
			r.closePart(t, len(t.parts)-1)
		}
	}
	r.ended = nil
	return nil
}

// prepare stores from where the lines in the batch are read again, with their times, if
// the process dies before their position is stored. It also stores what has changed of
// tails without lines, as a file may have moved from one to another. It waits for room on
// a full disk, and fails only when ctx ends.
func (r *reader) prepare(ctx context.Context) error {
	for _, t := range r.batch.tails {
		r.touch(t)
	}
	values := make(map[string]string, len(r.touched))
	for _, t := range r.touched {
		values[t.key] = encodeMarks(t.sendingMarks())
	}
	return r.source.store.PutBefore(ctx, values)
}

// lag records that the tails of the batch wait for the sinks.
func (r *reader) lag() {
	r.source.mu.Lock()
	defer r.source.mu.Unlock()
	if r.source.cfg.compressed() {
		return
	}
	for _, t := range r.batch.tails {
		t.status.measure(true)
	}
}

// count updates the metrics and the tails for delivered entries.
func (r *reader) count(logs pipeline.Logs) {
	s := r.source
	for i, t := range r.batch.tails {
		entries := logs.Streams[i].Entries
		size := 0
		for _, e := range entries {
			size += len(e.Line)
		}
		s.mu.Lock()
		t.status.lines += uint64(len(entries))
		t.status.bytes += uint64(size)
		t.status.readAt = entries[len(entries)-1].Time
		if !s.cfg.compressed() {
			t.status.measure(false)
		}
		s.mu.Unlock()
		if !t.gone {
			s.metrics.lines.WithLabelValues(t.path).Add(float64(len(entries)))
		}
	}
}

// measure updates the metrics with how far a file has been read.
func (r *reader) measure(t *tail) {
	if t.gone || len(t.parts) == 0 {
		return
	}
	r.source.mu.Lock()
	size := t.status.size
	r.source.mu.Unlock()
	read := t.parts[len(t.parts)-1].offset
	if r.source.cfg.compressed() {
		read = t.parts[0].lines // as in Alloy
	}
	r.source.metrics.readBytes.WithLabelValues(t.path).Set(float64(read))
	r.source.metrics.totalBytes.WithLabelValues(t.path).Set(float64(size))
}

func (s *Source) warn(message string, args ...any) { s.quiet.Warn(s.opts.Logger, "", message, args...) }
