package process

import "strings"

// DecolorizeConfig is the block stage.decolorize.
type DecolorizeConfig struct{}

// decolorize removes the escape sequences by which terminals show colors.
type decolorize struct{}

func newDecolorize() Stage { return decolorize{} }

func (decolorize) Process(e *Entry, emit Emit) {
	e.Line = withoutEscapes(e.Line)
	emit(e)
}

// withoutEscapes copies the text only if there is something to remove. What it
// removes is what Alloy does: an escape character or the control character CSI, then
// any of []()#;?, and then either letters, digits and semicolons up to a bell, or
// numbers between semicolons, if any, and a character that ends a sequence.
func withoutEscapes(text string) string {
	var out strings.Builder
	copied, next := 0, -1 // next is where the next CSI is
	for at := 0; at < len(text); {
		if next < at {
			next = indexOr(text, at, strings.Index(text[at:], csi))
		}
		start := min(next, indexOr(text, at, strings.IndexByte(text[at:], '\x1b')))
		if start == len(text) {
			break
		}
		at = start + 1
		if start == next {
			at = start + len(csi)
		}
		end := escapeEnd(text, at)
		if end < 0 {
			continue
		}
		if copied == 0 {
			out.Grow(len(text))
		}
		out.WriteString(text[copied:start])
		copied, at = end, end
	}
	if copied == 0 {
		return text
	}
	out.WriteString(text[copied:])
	return out.String()
}

// csi is the control character that introduces a sequence, as ESC [ does.
const csi = "\u009b"

// indexOr is an index in text[from:] as one in text, or the length if it is none.
func indexOr(text string, from, index int) int {
	if index < 0 {
		return len(text)
	}
	return from + index
}

// escapeEnd is where the sequence ends whose introduction is before at, or -1 if
// there is none.
func escapeEnd(text string, at int) int {
	at = skip(text, at, func(c byte) bool { return strings.IndexByte("[]()#;?", c) >= 0 })
	if end := skip(text, at, func(c byte) bool { return isAlphanumeric(c) || c == ';' }); end < len(text) && text[end] == '\a' {
		return end + 1
	}
	digit := -1 // where the last digit of a number is
	number := func(from int) int {
		end := from
		for ; end < len(text) && end < from+4 && isDecimal(text[end]); end++ {
			digit = end
		}
		return end
	}
	end := number(at)
	for end > at && end < len(text) && text[end] == ';' {
		end = number(end + 1)
	}
	switch {
	case end < len(text) && endsEscape(text[end]):
		return end + 1
	case digit >= 0: // a digit ends a sequence, too
		return digit + 1
	}
	return -1
}

func skip(text string, at int, ok func(byte) bool) int {
	for at < len(text) && ok(text[at]) {
		at++
	}
	return at
}

func isDecimal(c byte) bool { return '0' <= c && c <= '9' }

func isAlphanumeric(c byte) bool {
	return isDecimal(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func endsEscape(c byte) bool {
	return isDecimal(c) || 'A' <= c && c <= 'P' || 'f' <= c && c <= 'n' || strings.IndexByte("RZctqry=><~", c) >= 0
}
