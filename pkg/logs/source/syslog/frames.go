package syslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// frameBuffer is what a connection has for messages that fit into it.
	frameBuffer = 16 << 10
	// maxLine is how much is kept of a message that ends with its line.
	maxLine = 256 << 10
	// overrun is the room behind the longest message, for reading what is not kept.
	overrun = 4 << 10
	// lineWait is how long a line that has ended waits for one that continues it.
	lineWait = 250 * time.Millisecond
	// maxDigits is how long the length before a message may be.
	maxDigits = 10
)

// frame is one message of a stream. Its text is valid until the next call.
type frame struct {
	text []byte
	size int // how long it is where it comes from; more than text if it was cut
}

// errTooLong says that a counted message is longer than allowed. The next one can be
// read.
var errTooLong = errors.New("the message is longer than max_message_length")

// framingError says that it is unknown where the next message begins. It quotes one byte
// only: the others may be a secret of another protocol.
type framingError struct{ found byte }

func (e framingError) Error() string {
	switch {
	case e.found == 0x16:
		return "the client seems to speak TLS, and the listener has no tls_config"
	case '0' <= e.found && e.found <= '9':
		return "a number is not the length of a message, followed by a space and the message"
	case 'A' <= e.found && e.found <= 'Z':
		return fmt.Sprintf("a message should begin with < or with its length, not with %q; the client may speak HTTP", e.found)
	}
	return fmt.Sprintf("a message should begin with < or with its length, not with %q", e.found)
}

// frames splits a stream into messages, in either way of RFC 6587, by its first
// byte: a digit means that each message has its length before it, "<" that it ends
// with a line. A line that does not begin with "<" belongs to the message before,
// if it comes at once. A stream that is raw has lines, whatever they begin with.
type frames struct {
	r   io.Reader
	max int  // of a counted message
	raw bool // each line is a message
	// lineEnd ends a line.
	lineEnd byte

	// until sets when reading fails with os.ErrDeadlineExceeded: within the
	// time given, or, for 0, when the connection has been idle for too long. nil: never.
	until func(time.Duration)
	// pause is called before reading, which may take long.
	pause func() error
	// grow claims memory beyond frameBuffer before the buffer is made larger, and less
	// than nothing when it was made smaller; nil: there is no need.
	grow func(n int) error

	buf        []byte
	start, end int // what has been read and not returned is buf[start:end]
	scan       int // as far as that has been looked at
	afterLine  bool
	over       int // bytes of the line that were not kept
	counted    bool
	begun      bool // the first byte has been seen
	err        error
}

// reset makes f read another stream, with its buffer.
func (f *frames) reset(r io.Reader) {
	f.r, f.start, f.end, f.scan, f.over = r, 0, 0, 0, 0
	f.afterLine, f.counted, f.begun, f.err = false, false, false, nil
}

// next returns the next message, and io.EOF behind the last one. After errTooLong
// it may be called again.
func (f *frames) next() (frame, error) {
	if f.raw {
		return f.nextLine()
	}
	if !f.begun {
		if err := f.need(1); err != nil {
			return frame{}, err
		}
		f.begun = true
		switch c := f.buf[f.start]; {
		case c >= '0' && c <= '9':
			f.counted = true
		case c != '<':
			return frame{}, f.lost()
		}
	}
	if f.counted {
		return f.nextCounted()
	}
	return f.nextLine()
}

// lost is the error for what is at the beginning of the buffer.
func (f *frames) lost() error {
	f.err = framingError{f.buf[f.start]}
	return f.err
}

// nextCounted returns a message that has its length before it.
func (f *frames) nextCounted() (frame, error) {
	for f.need(1) == nil && f.buf[f.start] == '\n' { // some senders end messages with a line end anyway
		f.start++
	}
	if err := f.need(1); err != nil {
		return frame{}, err
	}
	n, digits := 0, 0
	for ; ; digits++ {
		if err := f.need(digits + 1); err != nil {
			return frame{}, unexpected(err)
		}
		c := f.buf[f.start+digits]
		if c == ' ' && digits > 0 {
			break
		}
		if c < '0' || c > '9' || digits == maxDigits || digits == 0 && c == '0' {
			return frame{}, f.lost()
		}
		n = 10*n + int(c-'0')
	}
	if n > f.max {
		return frame{size: n}, f.skip(digits + 1 + n)
	}
	if err := f.need(digits + 1 + n); err != nil {
		return frame{}, unexpected(err)
	}
	begin := f.start + digits + 1
	f.start = begin + n
	return frame{f.buf[begin:f.start], n}, nil
}

// unexpected is err, unless it says that the stream ends, which it may not here.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// skip reads over n bytes.
func (f *frames) skip(n int) error {
	for n > 0 {
		if err := f.need(1); err != nil {
			return unexpected(err)
		}
		k := min(n, f.end-f.start)
		f.start, n = f.start+k, n-k
	}
	return errTooLong
}

// need has at least n bytes in the buffer.
func (f *frames) need(n int) error {
	for f.end-f.start < n {
		if err := f.room(n); err != nil {
			return err
		}
		if err := f.read(0); err != nil {
			return err
		}
	}
	return nil
}

// room makes the buffer large enough for n bytes, and one to read, and small again
// when a long message is over. It moves what is in it to the beginning.
func (f *frames) room(n int) error {
	if f.start > 0 {
		copy(f.buf, f.buf[f.start:f.end])
		f.start, f.end, f.scan = 0, f.end-f.start, max(0, f.scan-f.start)
	}
	n = max(n, f.end+1)
	if n <= len(f.buf) && (n > frameBuffer/2 || len(f.buf) == frameBuffer) {
		return nil
	}
	size := frameBuffer
	for size < n {
		size *= 2
	}
	if f.grow != nil && len(f.buf) > 0 {
		if err := f.grow(size - len(f.buf)); err != nil {
			return err
		}
	}
	buf := make([]byte, size)
	copy(buf, f.buf[:f.end])
	f.buf = buf
	return nil
}

// read reads what there is, within a time if that is not 0.
func (f *frames) read(within time.Duration) error {
	if f.err != nil {
		return f.err
	}
	if f.pause != nil {
		if err := f.pause(); err != nil {
			f.err = err
			return err
		}
	}
	if f.until != nil {
		f.until(within)
	}
	n, err := f.r.Read(f.buf[f.end:])
	f.end += n
	if n > 0 {
		return nil // err recurs
	}
	if err != nil && (within == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
		f.err = err
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// limit is how much of a line is kept.
func (f *frames) limit() int { return max(f.max, maxLine) }

// nextLine returns a message that ends with its line, and with the lines that
// continue it.
func (f *frames) nextLine() (frame, error) {
	for {
		if f.seek() {
			return f.line(f.scan - 1), nil
		}
		if len(f.buf) > f.limit() && f.end-f.start >= f.limit()+overrun {
			f.over += f.end - f.start - f.limit()
			f.end, f.scan = f.start+f.limit(), f.start+f.limit()
		}
		if err := f.room(min(f.end-f.start+1, f.limit()+overrun)); err != nil {
			return frame{}, err
		}
		within := time.Duration(0)
		if f.afterLine {
			within = lineWait
		}
		err := f.read(within)
		if err == nil {
			continue
		}
		if f.end == f.start || !f.afterLine && !ends(err) {
			return frame{}, err
		}
		end := f.end
		if f.afterLine {
			end--
		}
		return f.line(end), nil
	}
}

// ends reports whether a message can be considered complete after a read error.
func ends(err error) bool {
	return err == io.EOF || errors.Is(err, os.ErrDeadlineExceeded)
}

// seek looks for the end of a message: of a line, if the next one begins with "<" or
// the stream is raw. It leaves scan behind it.
func (f *frames) seek() bool {
	for {
		if f.afterLine && (f.raw || f.scan < f.end && f.buf[f.scan] == '<') {
			return true
		}
		if f.scan >= f.end {
			return false
		}
		f.afterLine = false
		i := bytes.IndexByte(f.buf[f.scan:f.end], f.lineEnd)
		if i < 0 {
			f.scan = f.end
			return false
		}
		f.scan, f.afterLine = f.scan+i+1, true
	}
}

// line returns the message up to end, and continues after its line end.
func (f *frames) line(end int) frame {
	text := f.buf[f.start:max(f.start, end)]
	out := frame{text[:min(len(text), f.limit())], len(text) + f.over}
	f.start, f.over, f.afterLine = f.scan, 0, false
	return out
}
