package otlp

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	jsonWindow = 16 << 10
	// maxJSONToken bounds names, numbers and ids: what has to be in one piece.
	maxJSONToken = 4 << 10
)

// jsonScanner reads JSON piece by piece and keeps only a window of it. Its
// methods leave it where they fail.
type jsonScanner struct {
	r        io.Reader
	window   [jsonWindow]byte
	pos, end int   // of what is unread in window
	before   int64 // bytes of the input before the window
	err      error // what r ended with
	token    []byte
	rune     [utf8.UTFMax]byte // what an escape stands for
}

func (s *jsonScanner) reset(r io.Reader) {
	s.r, s.pos, s.end, s.before, s.err = r, 0, 0, 0, nil
}

// fill reads on when the window has been read; false is the end of the input.
func (s *jsonScanner) fill() bool {
	s.before += int64(s.end)
	s.pos, s.end = 0, 0
	for range 100 { // a reader may return nothing, but not for ever
		if s.err != nil {
			return false
		}
		s.end, s.err = s.r.Read(s.window[:])
		if s.end > 0 {
			return true
		}
	}
	s.err = io.ErrNoProgress
	return false
}

// peek returns the next byte, or 0 at the end.
func (s *jsonScanner) peek() byte {
	if s.pos == s.end && !s.fill() {
		return 0
	}
	return s.window[s.pos]
}

// next returns the next byte that is no white space, or 0 at the end.
func (s *jsonScanner) next() byte {
	for {
		switch c := s.peek(); c {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return c
		}
	}
}

// more reports whether anything but white space and byte order marks follows.
func (s *jsonScanner) more() (bool, error) {
	for {
		c := s.next()
		switch {
		case s.pos == s.end && s.err == io.EOF:
			return false, nil
		case s.pos == s.end:
			return false, s.err
		case c != 0xef:
			return true, nil
		}
		for _, mark := range []byte("\xef\xbb\xbf") {
			if s.peek() != mark {
				return true, s.unexpected("an object")
			}
			s.pos++
		}
	}
}

// unexpected is the error for what stands where want is due.
func (s *jsonScanner) unexpected(want string) error {
	if s.pos < s.end {
		c := s.window[s.pos]
		at := s.before + int64(s.pos) + 1
		if c < ' ' || c > '~' {
			return fmt.Errorf("byte %d is 0x%02x, where %s is expected", at, c, want)
		}
		return fmt.Errorf("byte %d is %q, where %s is expected", at, c, want)
	}
	if s.err != nil && s.err != io.EOF {
		return s.err
	}
	return fmt.Errorf("it ends after byte %d, where %s is expected", s.before+int64(s.pos), want)
}

// literal reads a word: null, true or false.
func (s *jsonScanner) literal(word string) error {
	for i := range len(word) {
		if s.peek() != word[i] {
			return s.unexpected(word)
		}
		s.pos++
	}
	return nil
}

// punctuation reads c, after white space.
func (s *jsonScanner) punctuation(c byte) error {
	if s.next() != c {
		return s.unexpected(fmt.Sprintf("%q", c))
	}
	s.pos++
	return nil
}

// list reads an array or object between the given brackets and calls element
// where each element begins.
func (s *jsonScanner) list(begin, end byte, element func() error) error {
	if err := s.punctuation(begin); err != nil {
		return err
	}
	if s.next() == end {
		s.pos++
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		switch s.next() {
		case ',':
			s.pos++
			s.next()
		case end:
			s.pos++
			return nil
		default:
			return s.unexpected(fmt.Sprintf("a comma or %q", end))
		}
	}
}

// name reads the name of an object's member and the colon. It is valid until
// the next call.
func (s *jsonScanner) name() ([]byte, error) {
	name, err := s.text()
	if err == nil {
		err = s.punctuation(':')
	}
	return name, err
}

var errLongToken = errors.New("a name, number or id is longer than 4 KiB")

// text reads a short string. It is valid until the next call.
func (s *jsonScanner) text() ([]byte, error) {
	s.token = s.token[:0]
	err := s.eachPiece(func(piece []byte) error {
		if len(s.token)+len(piece) > maxJSONToken {
			return errLongToken
		}
		s.token = append(s.token, piece...)
		return nil
	})
	return s.token, err
}

// eachPiece reads a string and hands it over in pieces, which are valid during
// the call only.
func (s *jsonScanner) eachPiece(take func([]byte) error) error {
	if s.next() != '"' {
		return s.unexpected("a string")
	}
	s.pos++
	for {
		start := s.pos
		for s.pos < s.end && s.window[s.pos] != '"' && s.window[s.pos] != '\\' && s.window[s.pos] >= ' ' {
			s.pos++
		}
		if s.pos > start {
			if err := take(s.window[start:s.pos]); err != nil {
				return err
			}
		}
		if s.pos == s.end && !s.fill() {
			return s.unexpected("the end of a string")
		}
		switch c := s.window[s.pos]; {
		case c == '"':
			s.pos++
			return nil
		case c == '\\':
			s.pos++
			if err := s.escaped(take); err != nil {
				return err
			}
		case c < ' ':
			return s.unexpected("a character of a string (control characters are written as escapes)")
		}
	}
}

// escaped hands over what the escape behind a backslash stands for. Half a
// surrogate pair is U+FFFD.
func (s *jsonScanner) escaped(take func([]byte) error) error {
	r, err := s.escape()
	for err == nil && utf16.IsSurrogate(r) && s.peek() == '\\' {
		s.pos++
		second, err := s.escape()
		if err != nil {
			return err
		}
		if pair := utf16.DecodeRune(r, second); pair != utf8.RuneError {
			r = pair
			break
		}
		if err := take(utf8.AppendRune(s.rune[:0], r)); err != nil {
			return err
		}
		r = second
	}
	if err != nil {
		return err
	}
	return take(utf8.AppendRune(s.rune[:0], r))
}

// escape reads one escape behind its backslash.
func (s *jsonScanner) escape() (rune, error) {
	const short, means = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	c := s.peek()
	for i := range len(short) {
		if c == short[i] {
			s.pos++
			return rune(means[i]), nil
		}
	}
	if c != 'u' {
		return 0, s.unexpected("an escape")
	}
	s.pos++
	var r rune
	for range 4 {
		d, ok := hexDigit(s.peek())
		if !ok {
			return 0, s.unexpected("a hexadecimal digit")
		}
		s.pos++
		r = r<<4 | rune(d)
	}
	return r, nil
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// number reads a number as it is written. It is valid until the next call.
func (s *jsonScanner) number() ([]byte, error) {
	s.token = s.token[:0]
	s.next()
	s.digit("-")
	switch {
	case s.digit("0"):
	case s.digit("123456789"):
		for s.digit("0123456789") {
		}
	default:
		return nil, s.unexpected("a number")
	}
	if s.digit(".") {
		if err := s.digits(); err != nil {
			return nil, err
		}
	}
	if s.digit("eE") {
		s.digit("+-")
		if err := s.digits(); err != nil {
			return nil, err
		}
	}
	if len(s.token) > maxJSONToken {
		return nil, errLongToken
	}
	return s.token, nil
}

// digits reads one digit or more.
func (s *jsonScanner) digits() error {
	if !s.digit("0123456789") {
		return s.unexpected("a digit")
	}
	for s.digit("0123456789") {
	}
	return nil
}

// digit reads a byte of a number if it is one of set. Above maxJSONToken, it
// keeps no more.
func (s *jsonScanner) digit(set string) bool {
	c := s.peek()
	for i := range len(set) {
		if c == set[i] {
			if len(s.token) <= maxJSONToken {
				s.token = append(s.token, c)
			}
			s.pos++
			return true
		}
	}
	return false
}

// skip reads a value that nobody wants.
func (s *jsonScanner) skip(depth int) error {
	if depth > maxDepth {
		return errDepth
	}
	nothing := func([]byte) error { return nil }
	switch c := s.next(); c {
	case '{':
		return s.list('{', '}', func() error {
			if err := s.eachPiece(nothing); err != nil {
				return err
			}
			if err := s.punctuation(':'); err != nil {
				return err
			}
			return s.skip(depth + 1)
		})
	case '[':
		return s.list('[', ']', func() error { return s.skip(depth + 1) })
	case '"':
		return s.eachPiece(nothing)
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		if c != '-' && (c < '0' || c > '9') {
			return s.unexpected("a value")
		}
		_, err := s.number()
		return err
	}
}
