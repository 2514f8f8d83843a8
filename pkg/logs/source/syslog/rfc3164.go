package syslog

import (
	"net/netip"
	"strings"
	"time"
)

// maxTag is the longest name of a program before a colon. RFC 3164 has 32.
const maxTag = 48

// parse3164 reads a message of RFC 3164:
//
//	<priority>timestamp host tag[proc]: message
//
// The timestamp has no year, or is one of RFC 3339. Host and tag may be missing: a
// word with a colon is no host, and a message without a colon has no tag.
func (m *message) parse3164(s string) error {
	*m = message{data: m.data[:0]}
	rest, err := m.parsePriority(s)
	if err != nil {
		return err
	}
	if rest, err = m.parseStamp(strings.TrimLeft(rest, " ")); err != nil {
		return err
	}
	rest = strings.TrimSuffix(strings.TrimLeft(rest, " "), "\n")
	if word, after, ok := strings.Cut(rest, " "); ok && isHost(word) {
		m.host, rest = word, strings.TrimLeft(after, " ")
	}
	m.text = m.parseTag(rest)
	return nil
}

// parseStamp reads the timestamp, which a space has to follow.
func (m *message) parseStamp(s string) (rest string, err error) {
	for _, n := range []int{len("Jan _2 15:04:05"), len("Jan 2 15:04:05")} {
		if len(s) > n && s[n] == ' ' {
			if m.time, err = time.Parse(time.Stamp, s[:n]); err == nil {
				m.yearless = true
				return s[n:], nil
			}
		}
	}
	word, _, ok := strings.Cut(s, " ")
	if ok {
		if m.time, err = time.Parse(time.RFC3339Nano, word); err == nil {
			return s[len(word):], nil
		}
	}
	return "", errTimestamp
}

// isHost reports whether the first word of a message is the name of a host.
func isHost(word string) bool {
	if strings.IndexByte(word, ':') >= 0 {
		_, err := netip.ParseAddr(word)
		return err == nil
	}
	return isGraphic(word, maxField)
}

// parseTag reads the name of the program and the number of its process, and returns
// the message. A tag is part of the message unless a colon and a space follow it.
func (m *message) parseTag(s string) (text string) {
	end := strings.IndexAny(s, " :[")
	if end < 1 || end > maxTag || !isGraphic(s[:end], maxTag) {
		return s
	}
	tag, rest, proc := s[:end], s[end:], ""
	if rest[0] == '[' {
		end := strings.IndexAny(rest[1:], " []") + 1
		if end < 1 || rest[end] != ']' {
			return s
		}
		proc, rest = rest[1:end], rest[end+1:]
	}
	if !strings.HasPrefix(rest, ":") {
		return s
	}
	m.app, m.proc = tag, proc
	if text, ok := strings.CutPrefix(rest, ": "); ok && text != "" {
		return text
	}
	return s
}

// inYear is a time without a year, in the year that is nearest to now: around New
// Year, that of the sender may be another one than the receiver's.
func inYear(t, now time.Time) time.Time {
	year := now.Year()
	switch {
	case t.Month() == time.December && now.Month() == time.January:
		year--
	case t.Month() == time.January && now.Month() == time.December:
		year++
	}
	return t.AddDate(year, 0, 0)
}
