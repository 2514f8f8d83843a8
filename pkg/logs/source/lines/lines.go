// Package lines makes entries of the lines that sources read.
package lines

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"
)

// bumpWindow is how far a line may be moved forward in time to stay after the previous
// line. A larger step back means that the clock was set.
const bumpWindow = time.Second

// Time is the timestamp of the entry for a line of the time ns that follows an
// entry of the time last. It is ns, or just above last, so that stores which sort
// by time keep the order of lines. When the clock is set back by bumpWindow or more,
// entries follow it: they are no longer in order, but none has a time that is yet
// to come.
func Time(last, ns int64) int64 {
	if ns <= last && last-ns < int64(bumpWindow) {
		return last + 1
	}
	return ns
}

// Append appends a line to dst as it is stored: as valid UTF-8, each run of invalid bytes
// replaced by U+FFFD, and cut to limit bytes with a marker that gives its length. text is
// the line, or its beginning if it is not whole, and size is how many bytes it has where
// it comes from. Append returns whether it had to replace or to cut anything.
func Append(dst, text []byte, size int64, whole bool, limit int) (out []byte, replaced, cut bool) {
	if !utf8.Valid(text) {
		if !whole {
			text = trimPartialRune(text)
		}
		if !utf8.Valid(text) {
			text, replaced = bytes.ToValidUTF8(text, []byte(string(utf8.RuneError))), true
		}
	}
	if whole && len(text) <= limit {
		return append(dst, text...), replaced, false
	}
	marker := "… [cut by collector: " + strconv.FormatInt(size, 10) + " bytes]"
	keep := max(0, min(len(text), limit-len(marker)))
	for keep > 0 && keep < len(text) && !utf8.RuneStart(text[keep]) {
		keep--
	}
	dst = append(dst, text[:keep]...)
	return append(dst, marker...), replaced, true
}

// trimPartialRune removes an incomplete character from the end of text that was
// cut off somewhere.
func trimPartialRune(text []byte) []byte {
	for i := len(text) - 1; i >= 0 && i >= len(text)-utf8.UTFMax; i-- {
		if !utf8.RuneStart(text[i]) {
			continue
		}
		if !utf8.FullRune(text[i:]) {
			return text[:i]
		}
		break
	}
	return text
}
