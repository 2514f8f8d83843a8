package git

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// kind distinguishes the lines of the protocol.
type kind int

const (
	text  kind = iota
	flush      // 0000: the end of a message
	delim      // 0001: the end of a section
)

// maxLine is the longest line of the protocol, without its length.
const maxLine = 65516

// line is s with its length in front, as the protocol has it.
func line(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }

const (
	flushLine = "0000"
	delimLine = "0001"
)

// lines reads an answer line by line.
type lines struct{ r *bufio.Reader }

func newLines(r io.Reader) *lines { return &lines{bufio.NewReaderSize(r, 1<<16)} }

// next reads one line, without the line break at its end. A line in which the server
// says what is wrong is an error.
func (l *lines) next() (kind, []byte, error) {
	k, body, err := l.raw()
	if message, ok := bytes.CutPrefix(body, []byte("ERR ")); ok {
		return 0, nil, errors.New("the server says: " + words(message))
	}
	return k, bytes.TrimSuffix(body, []byte("\n")), err
}

// raw reads one line as it is.
func (l *lines) raw() (kind, []byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(l.r, head[:]); err != nil {
		return 0, nil, fmt.Errorf("the answer is cut off: %w", err)
	}
	n, err := strconv.ParseUint(string(head[:]), 16, 16)
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("the answer does not come from a Git server: it has %q where the length of a line is expected", head[:])
	case n == 0:
		return flush, nil, nil
	case n == 1:
		return delim, nil, nil
	case n < 4 || n > maxLine+4:
		return 0, nil, fmt.Errorf("the answer has a line of the length %d", n)
	}
	body := make([]byte, n-4)
	if _, err := io.ReadFull(l.r, body); err != nil {
		return 0, nil, fmt.Errorf("the answer is cut off: %w", err)
	}
	return text, body, nil
}

// words are the beginning of what a server says, in one line.
func words(message []byte) string {
	const most = 300
	message = bytes.TrimSpace(message)
	if len(message) > most {
		message = append(message[:most:most], "…"...)
	}
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, bytes.ToValidUTF8(message, []byte("?"))))
}
