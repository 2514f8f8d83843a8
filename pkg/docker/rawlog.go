package docker

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"time"
)

// grabbing is how the Engine begins the message that it cannot read its log.
const grabbing = "Error grabbing logs: "

// beginRaw decodes the time before a message of a TTY.
func (r *LogReader) beginRaw() error {
	if err := r.need(1); err != nil {
		return err // io.EOF between two messages is the end
	}
	if r.buf[r.start] == grabbing[0] && r.need(len(grabbing)) == nil && bytes.HasPrefix(r.buf[r.start:r.end], []byte(grabbing)) {
		return r.readError(4 << 10)
	}
	stamp, _, err := r.stamp(maxStamp)
	if err != nil {
		return err
	}
	r.cur = Frame{Time: stamp, Stream: "stdout"}
	return nil
}

// rawEnd is what ends a piece of a TTY's output.
type rawEnd int

const (
	atNewline rawEnd = iota
	atStamp          // the next message begins
	atLimit          // it is as long as a frame may be
	atEOF
)

// nextRaw delivers up to the end of the line, up to the start of the next
// message, or as much as fits in a frame.
func (r *LogReader) nextRaw() (Frame, error) {
	n, end, err := r.rawPiece()
	if err != nil {
		return Frame{}, err
	}
	if r.line().heldCR && n > 0 {
		return r.deliverCR()
	}
	text := r.buf[r.start : r.start+n]
	r.skip(n)
	if end == atNewline {
		r.skip(1)
		return r.deliverLine(text)
	}
	return r.deliverPiece(text, end == atLimit)
}

// rawPiece finds how many bytes the next piece has, and reads them.
func (r *LogReader) rawPiece() (n int, end rawEnd, err error) {
	for scanned := 0; ; {
		have := r.buf[r.start:r.end]
		n, newline := len(have), false
		if i := bytes.IndexByte(have[scanned:], '\n'); i >= 0 {
			n, newline = scanned+i, true
		}
		// A time may begin in what was scanned before.
		if i := r.findStamp(have[:n], max(0, scanned-stampLen)); i >= 0 {
			return i, atStamp, nil
		}
		switch {
		case newline && n <= maxPiece:
			return n, atNewline, nil
		case newline || n >= maxPiece+stampLen+1:
			// Without the newline, what is held back may be the start of a time.
			return maxPiece, atLimit, nil
		}
		scanned = n
		if err := r.need(n + 1); err != nil {
			switch {
			case !errors.Is(err, io.EOF):
				return 0, 0, r.cut(err, "a message")
			case n > maxPiece:
				return maxPiece, atLimit, nil
			}
			return n, atEOF, nil
		}
	}
}

// findStamp finds the time that begins the next message, from an offset on; -1
// if there is none. A message without "\n" is followed by the next one's time
// at once. A time that the process itself printed is older than its message's,
// or it is a date in the future.
func (r *LogReader) findStamp(text []byte, from int) int {
	var latest time.Time
	for i := from; i < len(text); {
		// The "." in the middle of a time is rarer than digits.
		dot := bytes.IndexByte(text[min(len(text), i+19):], '.')
		if dot < 0 {
			return -1
		}
		at := i + dot
		if t, ok := parseStamp(text[at:]); ok && !t.Before(r.cur.Time) {
			if latest.IsZero() {
				// The Engine's own clock may have been set back since.
				if latest = r.now(); latest.Before(r.cur.Time) {
					latest = r.cur.Time
				}
				latest = latest.Add(skew)
			}
			if !t.After(latest) {
				return at
			}
		}
		i = at + 1
	}
	return -1
}

// cutMessage removes the Engine's own preamble from its error message.
func cutMessage(text string) string {
	return strings.TrimSpace(strings.TrimPrefix(text, grabbing))
}
