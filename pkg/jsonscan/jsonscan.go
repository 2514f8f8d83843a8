// Package jsonscan reads JSON piece by piece: it holds only a window of a document,
// however large it is and however deep it is nested. Its errors say what was found where.
package jsonscan

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	windowSize = 16 << 10
	// MaxDepth bounds the nesting of what is skipped.
	MaxDepth = 200
	// MaxToken bounds names, numbers and ids: what has to be in one piece.
	MaxToken = 4 << 10
)

// ErrDepth says that a value is nested deeper than MaxDepth.
var ErrDepth = errors.New("values are nested too deeply")

// Scanner reads JSON. A method that fails leaves it at the place of the error.
type Scanner struct {
	r        io.Reader
	window   [windowSize]byte
	pos, end int   // of what is unread in window
	before   int64 // bytes of the input before the window
	err      error // what r ended with
	token    []byte
	rune     [utf8.UTFMax]byte // what an escape represents
}

// Reset begins to read r.
func (s *Scanner) Reset(r io.Reader) {
	s.r, s.pos, s.end, s.before, s.err = r, 0, 0, 0, nil
}

// Start is what has been read of the beginning; nil once more than the window has.
func (s *Scanner) Start() []byte {
	if s.before > 0 {
		return nil
	}
	return s.window[:s.end]
}

// fill reads on when the window has been read; false is the end of the input.
func (s *Scanner) fill() bool {
	s.before += int64(s.end)
	s.pos, s.end = 0, 0
	for range 100 { // a reader may return nothing, but not forever
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

// Peek returns the next byte, or 0 at the end.
func (s *Scanner) Peek() byte {
	if s.pos == s.end && !s.fill() {
		return 0
	}
	return s.window[s.pos]
}

// Next returns the next byte that is no white space, or 0 at the end.
func (s *Scanner) Next() byte {
	for {
		switch c := s.Peek(); c {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return c
		}
	}
}

// More reports whether anything but white space and byte order marks follows.
func (s *Scanner) More() (bool, error) {
	for {
		c := s.Next()
		switch {
		case s.pos == s.end && s.err == io.EOF:
			return false, nil
		case s.pos == s.end:
			return false, s.err
		case c != 0xef:
			return true, nil
		}
		for _, mark := range []byte("\xef\xbb\xbf") {
			if s.Peek() != mark {
				return true, s.Unexpected("an object")
			}
			s.pos++
		}
	}
}

// Unexpected is the error for anything else in the place of want.
func (s *Scanner) Unexpected(want string) error {
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

// Literal reads a word: null, true or false.
func (s *Scanner) Literal(word string) error {
	for i := range len(word) {
		if s.Peek() != word[i] {
			return s.Unexpected(word)
		}
		s.pos++
	}
	return nil
}

// punctuation reads c, after white space.
func (s *Scanner) punctuation(c byte) error {
	if s.Next() != c {
		return s.Unexpected(fmt.Sprintf("%q", c))
	}
	s.pos++
	return nil
}

// List reads an array or object between the given brackets and calls element
// where each element begins.
func (s *Scanner) List(begin, end byte, element func() error) error {
	if err := s.punctuation(begin); err != nil {
		return err
	}
	if s.Next() == end {
		s.pos++
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		switch s.Next() {
		case ',':
			s.pos++
			s.Next()
		case end:
			s.pos++
			return nil
		default:
			return s.Unexpected(fmt.Sprintf("a comma or %q", end))
		}
	}
}

// Name reads the name of an object's member and the colon. It is valid until
// the next call.
func (s *Scanner) Name() ([]byte, error) {
	name, err := s.Text()
	if err == nil {
		err = s.punctuation(':')
	}
	return name, err
}

// SkipName reads a name, however long it is, and the colon.
func (s *Scanner) SkipName() error {
	if err := s.EachPiece(nothing); err != nil {
		return err
	}
	return s.punctuation(':')
}

// nothing is for pieces that nobody wants.
func nothing([]byte) error { return nil }

// ErrLongToken says that a token is longer than MaxToken.
var ErrLongToken = errors.New("a name, number or id is longer than 4 KiB")

// Text reads a short string. It is valid until the next call.
func (s *Scanner) Text() ([]byte, error) {
	s.token = s.token[:0]
	err := s.EachPiece(func(piece []byte) error {
		if len(s.token)+len(piece) > MaxToken {
			return ErrLongToken
		}
		s.token = append(s.token, piece...)
		return nil
	})
	return s.token, err
}

// EachPiece reads a string and passes it in pieces, which are valid during
// the call only.
func (s *Scanner) EachPiece(take func([]byte) error) error {
	if s.Next() != '"' {
		return s.Unexpected("a string")
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
			return s.Unexpected("the end of a string")
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
			return s.Unexpected("a character of a string (control characters are written as escapes)")
		}
	}
}

// escaped passes what the escape behind a backslash represents. Half a
// surrogate pair is U+FFFD.
func (s *Scanner) escaped(take func([]byte) error) error {
	r, err := s.escape()
	for err == nil && utf16.IsSurrogate(r) && s.Peek() == '\\' {
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
func (s *Scanner) escape() (rune, error) {
	const short, means = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	c := s.Peek()
	for i := range len(short) {
		if c == short[i] {
			s.pos++
			return rune(means[i]), nil
		}
	}
	if c != 'u' {
		return 0, s.Unexpected("an escape")
	}
	s.pos++
	var r rune
	for range 4 {
		d, ok := hexDigit(s.Peek())
		if !ok {
			return 0, s.Unexpected("a hexadecimal digit")
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

// Number reads a number as it is written. It is valid until the next call.
func (s *Scanner) Number() ([]byte, error) {
	s.token = s.token[:0]
	s.Next()
	s.digit("-")
	switch {
	case s.digit("0"):
	case s.digit("123456789"):
		for s.digit("0123456789") {
		}
	default:
		return nil, s.Unexpected("a number")
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
	if len(s.token) > MaxToken {
		return nil, ErrLongToken
	}
	return s.token, nil
}

// digits reads one digit or more.
func (s *Scanner) digits() error {
	if !s.digit("0123456789") {
		return s.Unexpected("a digit")
	}
	for s.digit("0123456789") {
	}
	return nil
}

// digit reads a byte of a number if it is one of set. Above MaxToken, it
// keeps no more.
func (s *Scanner) digit(set string) bool {
	c := s.Peek()
	for i := range len(set) {
		if c == set[i] {
			if len(s.token) <= MaxToken {
				s.token = append(s.token, c)
			}
			s.pos++
			return true
		}
	}
	return false
}

// Skip reads a value and ignores it.
func (s *Scanner) Skip(depth int) error {
	if depth > MaxDepth {
		return ErrDepth
	}
	switch c := s.Next(); c {
	case '{':
		return s.List('{', '}', func() error {
			if err := s.SkipName(); err != nil {
				return err
			}
			return s.Skip(depth + 1)
		})
	case '[':
		return s.List('[', ']', func() error { return s.Skip(depth + 1) })
	case '"':
		return s.EachPiece(nothing)
	case 't':
		return s.Literal("true")
	case 'f':
		return s.Literal("false")
	case 'n':
		return s.Literal("null")
	default:
		if c != '-' && (c < '0' || c > '9') {
			return s.Unexpected("a value")
		}
		_, err := s.Number()
		return err
	}
}
