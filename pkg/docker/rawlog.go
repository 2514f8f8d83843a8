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

// nextRaw delivers up to the end of the line, up to the start of the next
// message, or as much as fits in a frame.
func (r *LogReader) nextRaw() (Frame, error) {
	if r.heldCR {
		r.heldCR = false
		if err := r.need(1); err == nil && r.buf[r.start] != '\n' {
			return r.deliver([]byte("\r"), true, false)
		}
	}
	for scanned := 0; ; {
		have := r.buf[r.start:r.end]
		n, newline := len(have), false
		if i := bytes.IndexByte(have[scanned:], '\n'); i >= 0 {
			n, newline = scanned+i, true
		}
		// A time may begin in what was scanned before.
		if i := r.findStamp(have[:n], max(0, scanned-stampLen)); i >= 0 {
			r.skip(i)
			// The "\n" after a "\r" may be in the next message; some logging
			// drivers even leave it out.
			text, cr := bytes.CutSuffix(have[:i], []byte("\r"))
			r.heldCR = cr
			return r.deliver(text, false, false)
		}
		switch {
		case newline && n <= maxPiece:
			r.skip(n + 1)
			return r.deliver(bytes.TrimSuffix(have[:n], []byte("\r")), false, true)
		case newline || n >= maxPiece+stampLen+1:
			// Without the newline, what is held back may be the start of a time.
			r.skip(maxPiece)
			return r.deliver(have[:maxPiece], true, false)
		}
		scanned = n
		if err := r.need(n + 1); err != nil {
			if !errors.Is(err, io.EOF) {
				return Frame{}, r.cut(err, "a message")
			}
			return r.lastRaw(have)
		}
	}
}

// lastRaw delivers what stands before the end of the output.
func (r *LogReader) lastRaw(text []byte) (Frame, error) {
	n := min(len(text), maxPiece)
	r.skip(n)
	if n < len(text) {
		return r.deliver(text[:n], true, false)
	}
	return r.deliver(bytes.TrimSuffix(text, []byte("\r")), false, false)
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
				latest = r.now().Add(skew)
			}
			if !t.After(latest) {
				return at
			}
		}
		i = at + 1
	}
	return -1
}

// cutMessage takes the Engine's words off its error message.
func cutMessage(text string) string {
	return strings.TrimSpace(strings.TrimPrefix(text, grabbing))
}
