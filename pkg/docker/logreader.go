package docker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// maxPiece is the most text that one Frame holds. What the Engine sends in
	// one piece is cut into frames of this size, which are Partial.
	maxPiece = 64 << 10
	// chunk is how much of a line the Engine reads before it makes a message
	// of it that does not end in "\n".
	chunk = 16 << 10
	// firstBuffer is enough for most logs; the buffer grows when a line is
	// longer and shrinks after shrinkAfter frames that had no need of that.
	firstBuffer = 4 << 10
	shrinkAfter = 16

	// maxEmptyReads is how often a read may bring nothing.
	maxEmptyReads = 100

	headerLen = 8
	// stampLen is the length of the time as the Engine writes it, which is
	// followed by a space: 2006-01-02T15:04:05.000000000Z.
	stampLen = 30
	// maxStamp bounds the time that others than Docker write, with a zone and
	// without trailing zeros.
	maxStamp = 40
	// skew is how far in the future a time in the output of a TTY may be that
	// is taken for the Engine's.
	skew = time.Minute
)

// Frame is one piece of output, as Docker wrote it: at most 16 KiB of a line.
type Frame struct {
	Time    time.Time
	Stream  string // "stdout" or "stderr"; always "stdout" with a TTY
	Text    []byte // without Docker's timestamp; valid until the next call of Next
	Partial bool   // the line goes on in the next frame of this stream
}

// LogReader decodes the Engine's log stream into frames.
//
// Without a TTY the stream is a sequence of
//
//	+------+---+---+---+-------------------+-------------------------------+
//	| kind | 0 | 0 | 0 | length (4, big e.)| time " " text                 |
//	+------+---+---+---+-------------------+-------------------------------+
//
// where kind is 1 for stdout, 2 for stderr and 3 for an error of the Engine's,
// which has no time. Text ends in "\n" unless the line goes on, or the process
// has ended in the middle of a line. With a TTY there are no headers: the
// messages follow one another, and what separates them is the "\n", or nothing
// but the time at the start of the next.
//
// Lines end in "\n" or "\r\n", with and without a TTY, also where a piece ends
// between the two.
//
// Malformed input gives an error. An error other than io.EOF may come in the
// middle of a line.
type LogReader struct {
	r   io.ReadCloser
	tty bool
	// joinAll is set for Podman, where each piece of a line has its own time
	// and any length: every Partial goes on then.
	joinAll bool
	// unknown is set until the first byte reports whether there is a TTY: that of
	// a header is 3 at most.
	unknown bool
	now     func() time.Time

	buf        []byte // what has been read and not decoded is buf[start:end]
	start, end int
	offset     int64 // of buf[start] in the stream, for messages
	err        error // of r; reported when the buffer is decoded
	failed     error // what Next returned, and returns from then on
	small      int   // frames in a row that a buffer of the first size could hold

	// The message being decoded, when it did not fit in one frame.
	rest   int64 // without a TTY: bytes of it that have not been delivered
	inside bool
	cur    Frame
	length int // bytes of its text that have been delivered

	open [2]openLine // stdout, stderr: lines that have no end yet
}

// openLine is a line of which the last piece had no "\n".
type openLine struct {
	active bool
	time   time.Time
	last   int // length of the last message
	// heldCR is set when the last piece had a "\r" at its end, which is held back until
	// it is known whether the "\n" follows.
	heldCR bool
}

// NewLogReader reads frames (https://docs.docker.com/reference/api/engine/, "Attach to a container", stream format) or, with tty, raw
// lines from r. Every line carries Docker's RFC 3339 timestamp.
func NewLogReader(r io.ReadCloser, tty bool) *LogReader {
	return &LogReader{r: r, tty: tty, now: time.Now}
}

// Close ends reading.
func (r *LogReader) Close() error { return r.r.Close() }

// Next returns the next frame; io.EOF at the end of the output.
func (r *LogReader) Next() (Frame, error) {
	if r.failed != nil {
		return Frame{}, r.failed
	}
	f, err := r.next()
	if err != nil && !IsCorrupt(err) {
		r.failed = err
	}
	return f, err
}

func (r *LogReader) next() (Frame, error) {
	r.shrink()
	if !r.inside {
		if err := r.begin(); err != nil {
			return Frame{}, err
		}
		r.inside, r.length = true, 0
		if end, ok := r.endOpenLine(); ok {
			return end, nil
		}
	}
	if r.tty {
		return r.nextRaw()
	}
	return r.nextMultiplexed()
}

// begin decodes what precedes a message's text.
func (r *LogReader) begin() error {
	if r.unknown {
		if err := r.need(1); err != nil {
			return err
		}
		r.unknown, r.tty = false, r.buf[r.start] > 3
	}
	if r.tty {
		return r.beginRaw()
	}
	for {
		if err := r.need(headerLen); err != nil {
			if r.end == r.start {
				return err // io.EOF between two messages is the end
			}
			return r.cut(err, "the header of a message")
		}
		header := r.buf[r.start : r.start+headerLen]
		kind, length := header[0], int64(binary.BigEndian.Uint32(header[4:]))
		switch {
		case kind > 3 || header[1]|header[2]|header[3] != 0:
			return fmt.Errorf("read container log at byte %d: %q is not a message header: is this the log of a container with a TTY?", r.offset, header)
		case kind == 3:
			r.skip(headerLen)
			return r.readError(length)
		}
		r.skip(headerLen)
		if length == 0 {
			continue
		}
		stream := "stdout"
		if kind == 2 {
			stream = "stderr"
		}
		stamp, n, err := r.stamp(int(min(length, maxStamp)))
		if err != nil {
			return err
		}
		r.cur, r.rest = Frame{Time: stamp, Stream: stream}, length-int64(n)
		return nil
	}
}

// stamp decodes the time and the space after it, which have at most limit
// bytes, and skips them.
func (r *LogReader) stamp(limit int) (t time.Time, n int, err error) {
	for i := range limit {
		if err := r.need(i + 1); err != nil {
			return time.Time{}, 0, r.cut(err, "the time of a message")
		}
		if r.buf[r.start+i] != ' ' {
			continue
		}
		text := r.buf[r.start : r.start+i+1]
		t, ok := parseStamp(text)
		if !ok {
			if t, err = time.Parse(time.RFC3339Nano, string(text[:i])); err != nil {
				break
			}
		}
		r.skip(i + 1)
		return t, i + 1, nil
	}
	return time.Time{}, 0, fmt.Errorf("read container log at byte %d: a message starts with %.40q instead of a time", r.offset, r.buf[r.start:min(r.end, r.start+limit)])
}

// readError reads what the Engine says about its own failure.
func (r *LogReader) readError(length int64) error {
	n := int(min(length, 4<<10))
	if err := r.need(n); err != nil && !errors.Is(err, io.EOF) {
		return r.cut(err, "an error message")
	}
	text := string(r.buf[r.start:min(r.end, r.start+n)])
	// What follows can't be distinguished from the rest of a longer message.
	r.start, r.end, r.err = 0, 0, io.EOF
	return &daemonError{cutMessage(text)}
}

// endOpenLine ends, by an empty frame, a line that has no "\n" and that the
// message begun does not continue: the process has ended there and another
// one has started. The Engine gives all pieces of a line the time of the
// first; versions before 18.06 do not, but cut lines at 16 KiB exactly.
func (r *LogReader) endOpenLine() (Frame, bool) {
	line := r.line()
	if !line.active || r.joinAll || line.time.Equal(r.cur.Time) || line.last >= chunk {
		return Frame{}, false
	}
	line.active, line.heldCR = false, false
	return Frame{Time: line.time, Stream: r.cur.Stream}, true
}

func (r *LogReader) line() *openLine {
	if r.cur.Stream == "stderr" {
		return &r.open[1]
	}
	return &r.open[0]
}

// deliver returns a frame of the message begun, of which text is next. More
// tells that the message goes on, newline that it ended with one.
func (r *LogReader) deliver(text []byte, more, newline bool) (Frame, error) {
	f := r.cur
	f.Text, f.Partial = text, !newline
	r.length += len(text)
	r.inside = more
	line := r.line()
	switch {
	case newline:
		line.active = false
	case !line.active:
		line.active, line.time, line.last = true, f.Time, r.length
	default:
		line.last = r.length
	}
	return f, nil
}

func (r *LogReader) nextMultiplexed() (Frame, error) {
	n := int(min(r.rest, maxPiece))
	if err := r.need(n); err != nil {
		return Frame{}, r.cut(err, "a message")
	}
	text := r.buf[r.start : r.start+n]
	if n > 0 && r.line().heldCR && !(n == 1 && r.rest == 1 && text[0] == '\n') {
		return r.deliverCR()
	}
	r.skip(n)
	r.rest -= int64(n)
	if r.rest == 0 {
		if line, newline := bytes.CutSuffix(text, []byte("\n")); newline {
			return r.deliverLine(line)
		}
	}
	return r.deliverPiece(text, r.rest > 0)
}

// deliverLine returns the frame that ends a line, which may end in "\r\n".
func (r *LogReader) deliverLine(text []byte) (Frame, error) {
	r.line().heldCR = false
	return r.deliver(bytes.TrimSuffix(text, []byte("\r")), false, true)
}

// deliverPiece returns a frame whose line goes on. The "\n" after a "\r" may be in the
// next, and before 23.0 the logging driver local omits it.
func (r *LogReader) deliverPiece(text []byte, more bool) (Frame, error) {
	if text, cr := bytes.CutSuffix(text, []byte("\r")); cr {
		r.line().heldCR = true
		r.length++
		return r.deliver(text, more, false)
	}
	return r.deliver(text, more, false)
}

// deliverCR returns the "\r" that was held back: it does not end the line. It
// belongs to the message before.
func (r *LogReader) deliverCR() (Frame, error) {
	r.line().heldCR = false
	r.length--
	return r.deliver([]byte("\r"), true, false)
}

// need reads until n bytes are in the buffer.
func (r *LogReader) need(n int) error {
	for r.end-r.start < n {
		if r.err != nil {
			return r.err
		}
		r.fill()
	}
	return nil
}

// fill reads once. The buffer grows only when it is full, so its size follows
// what has arrived, not what a header announces.
func (r *LogReader) fill() {
	if r.start > 0 {
		copy(r.buf, r.buf[r.start:r.end])
		r.start, r.end = 0, r.end-r.start
	}
	if r.end == len(r.buf) {
		grown := make([]byte, max(firstBuffer, 2*len(r.buf)))
		copy(grown, r.buf[:r.end])
		r.buf = grown
	}
	for range maxEmptyReads {
		n, err := r.r.Read(r.buf[r.end:])
		r.end += n
		r.err = err
		if n > 0 || err != nil {
			return
		}
	}
	r.err = io.ErrNoProgress
}

func (r *LogReader) skip(n int) {
	r.start += n
	r.offset += int64(n)
}

// shrink gives a large buffer back once it is not needed any more.
func (r *LogReader) shrink() {
	if len(r.buf) <= firstBuffer || r.end-r.start > firstBuffer/2 || r.length > firstBuffer/2 {
		r.small = 0
		return
	}
	if r.small++; r.small < shrinkAfter {
		return
	}
	small := make([]byte, firstBuffer)
	r.end = copy(small, r.buf[r.start:r.end])
	r.buf, r.start, r.small = small, 0, 0
}

// cut says that the stream ended in the middle of what.
func (r *LogReader) cut(err error, what string) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read container log at byte %d: %s is cut off: %w", r.offset, what, err)
}

// parseStamp decodes a time in the form of stampLen with the space after it.
// It is what time.Parse does, several times as fast.
func parseStamp(b []byte) (time.Time, bool) {
	if len(b) <= stampLen || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' || b[19] != '.' || b[29] != 'Z' || b[30] != ' ' {
		return time.Time{}, false
	}
	ok := true
	number := func(from, to int) int {
		v := 0
		for _, c := range b[from:to] {
			if c -= '0'; c > 9 {
				ok = false
			}
			v = v*10 + int(c)
		}
		return v
	}
	year, month, day := number(0, 4), number(5, 7), number(8, 10)
	hour, minute, second, nanos := number(11, 13), number(14, 16), number(17, 19), number(20, 29)
	if !ok || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	return t, t.Day() == day // February has no 30th
}
