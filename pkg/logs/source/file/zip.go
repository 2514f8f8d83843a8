package file

import (
	"bufio"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
)

// zipState is what a tail remembers of a compressed file.
type zipState struct {
	done    sight // as it was when it was read to its end
	waiting bool  // for the initial delay
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func cleanPath(path string) string { return filepath.Clean(path) }

// serveCompressed reads a compressed file to its end, from the first line that has
// not been delivered. It is read again when it has changed. Only one is read at a
// time, as decompression takes memory.
func (r *reader) serveCompressed(ctx context.Context, t *tail) (more bool, err error) {
	d := r.source.cfg.Decompression
	t.zip.waiting = false
	if wait := d.InitialDelay - time.Since(t.since); wait > 0 {
		t.zip.waiting = true
		return false, nil
	}
	info, err := os.Stat(t.path)
	switch {
	case isMissing(err):
		r.setState(t, stateMissing, nil)
		return false, nil
	case err != nil:
		r.setState(t, stateFailed, err)
		return false, nil
	}
	seen := sightOf(info)
	r.see(t, seen)
	if seen == t.zip.done {
		return false, nil
	}
	p, err := openPart(t, t.path, text{end: []byte("\n")})
	if err != nil {
		r.setState(t, stateFailed, err)
		return false, nil
	}
	defer p.close()
	if err := r.resumeCompressed(ctx, t, p); err != nil {
		return false, err
	}
	t.parts = []*part{p}
	defer func() { t.parts = nil }()
	r.setState(t, stateReading, nil)
	err = r.decompress(ctx, t, p)
	r.past[p.id] = append(slices.DeleteFunc(r.past[p.id], func(m pastMark) bool { return m.key == t.key }), pastMark{t.key, p.mark()})
	r.touch(t)
	if delivered := r.deliver(ctx); delivered != nil {
		return false, delivered
	}
	t.zip.done = seen
	if err != nil {
		r.setState(t, stateFailed, fmt.Errorf("decompress: %w", err))
		r.see(t, seen) // only a change can help
		return false, nil
	}
	r.setState(t, stateDone, nil)
	return false, nil
}

// resumeCompressed sets how many lines of p have been delivered.
func (r *reader) resumeCompressed(ctx context.Context, t *tail, p *part) error {
	// Of the file, the beginning is what it is recognized by.
	defer func() {
		head := make([]byte, min(headSize, p.size()))
		p.headLen = int64(len(head))
		p.head = p.sum(0, p.headLen)
		t.started = true
	}()
	marks := r.marksOf(t)
	for _, m := range marks {
		if m.imported() || m.fileID == p.id && p.matches(m) {
			p.lines, p.again = m.Lines, decodeRuns(m.Sent)
			return nil
		}
	}
	if ok, err := r.adopt(ctx, t, p); ok || err != nil {
		p.seek(0)
		return err
	}
	for _, m := range marks { // it may be a copy
		if m.HeadLen > 0 && p.matches(m) {
			p.lines, p.again = m.Lines, decodeRuns(m.Sent)
		}
	}
	return nil
}

// decompress gives the lines that have not been delivered to the batch, and
// delivers it each time that it is full.
func (r *reader) decompress(ctx context.Context, t *tail, p *part) error {
	in, err := open(p.file, r.source.cfg.Decompression.Format)
	if errors.Is(err, io.EOF) {
		return nil // empty yet
	}
	if err != nil {
		return err
	}
	lines := decoded(in, r.source.text)
	emit := r.emitter(t, p)
	for n := int64(0); ; n++ {
		line, size, err := nextLine(lines, int(r.source.cfg.MaxLineSize))
		if err != nil && !errors.Is(err, io.EOF) || size == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if n < p.lines {
			continue
		}
		emit(line, size)
		p.lines++
		if r.batch.Full() {
			r.touch(t)
			if err := r.deliver(ctx); err != nil {
				return err
			}
			emit = r.emitter(t, p)
		}
	}
}

func open(f *os.File, format string) (io.Reader, error) {
	switch format {
	case "gz":
		return gzip.NewReader(f)
	case "z":
		return zlib.NewReader(f)
	}
	return bzip2.NewReader(f), nil
}

// decoded is in as UTF-8, without a byte order mark.
func decoded(in io.Reader, text text) *bufio.Reader {
	raw := bufio.NewReaderSize(in, chunkSize)
	head, _ := raw.Peek(maxByteOrderMark) // an error comes again with the next byte
	text, bom := text.beginning(head)
	_, _ = raw.Discard(bom)
	if text.coding == nil {
		return raw
	}
	return bufio.NewReaderSize(text.coding.NewDecoder().Reader(raw), chunkSize)
}

// nextLine reads a line, of which it keeps limit bytes, and returns its size. The
// last may have no end, and comes with io.EOF.
func nextLine(r *bufio.Reader, limit int) (line []byte, size int64, err error) {
	for {
		piece, err := r.ReadSlice('\n')
		ended := err == nil
		if ended {
			piece = piece[:len(piece)-1]
		}
		size += int64(len(piece))
		if room := limit + 1 - len(line); room > 0 {
			line = append(line, piece[:min(room, len(piece))]...)
		}
		if ended {
			return line, max(size, int64(len(line))), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, size, err
		}
	}
}
