package syslog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// message is one syslog message. Its texts are parts of what was parsed; one that
// is empty, or "-", is not there.
type message struct {
	priority uint8
	version  uint16 // of RFC 5424; 0: the message is one of RFC 3164
	time     time.Time
	yearless bool // the time has no year
	host     string
	app      string
	proc     string
	id       string
	data     []element // structured data, in the order of the message
	text     string
}

// element is one of a message's structured data.
type element struct {
	id     string
	params []param
}

type param struct{ name, value string }

// The names of severities and facilities, as labels have them.
var (
	severities = [8]string{"emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug"}
	facilities = [24]string{
		"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
		"ntp", "security", "console", "cron2", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
	}
)

func (m *message) severity() string { return severities[m.priority%8] }
func (m *message) facility() string { return facilities[m.priority/8] }

// maxField bounds the fields of a header. RFC 5424 has lower bounds for some of
// them, which programs ignore.
const maxField = 255

var (
	errPriority  = errors.New("it does not begin with a priority from <0> to <191>")
	errVersion   = errors.New("the priority is not followed by a version from 1 to 999")
	errHeader    = errors.New("it ends within the header")
	errField     = fmt.Errorf("a field of the header is empty, longer than %d characters, or not plain ASCII", maxField)
	errData      = errors.New(`the structured data is neither "-" nor [id name="value" …]`)
	errTimestamp = errors.New("the timestamp is not valid")
)

// parsePriority reads what every message begins with, and returns what follows.
func (m *message) parsePriority(s string) (rest string, err error) {
	end := strings.IndexByte(s, '>')
	if end < 2 || end > 4 || s[0] != '<' || s[1] == '0' && end > 2 {
		return "", errPriority
	}
	n := 0
	for _, c := range []byte(s[1:end]) {
		if c < '0' || c > '9' {
			return "", errPriority
		}
		n = 10*n + int(c-'0')
	}
	if n > 191 {
		return "", errPriority
	}
	m.priority = uint8(n)
	return s[end+1:], nil
}

// isGraphic reports whether s is visible characters of ASCII only, at least one and
// at most max.
func isGraphic(s string, max int) bool {
	for _, c := range []byte(s) {
		if c < 0x21 || c > 0x7e {
			return false
		}
	}
	return s != "" && len(s) <= max
}

// parse reads a message of the format that c says.
func (m *message) parse(s string, c *ListenerConfig) error {
	switch {
	case c.SyslogFormat == raw:
		return m.parseRaw(s)
	case c.SyslogFormat == rfc3164 && c.RFC3164CiscoComponents != nil:
		return m.parseCisco(s, c.RFC3164CiscoComponents.all())
	case c.SyslogFormat == rfc3164:
		return m.parse3164(s)
	}
	return m.parse5424(s)
}

// parseRaw takes anything for a message.
func (m *message) parseRaw(s string) error {
	*m = message{data: m.data[:0], text: s}
	return nil
}

// parse5424 reads a message of RFC 5424:
//
//	<priority>version timestamp host app proc id structured-data message
func (m *message) parse5424(s string) error {
	*m = message{data: m.data[:0]}
	rest, err := m.parsePriority(s)
	if err != nil {
		return err
	}
	version, rest, ok := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(version, 10, 16)
	if err != nil || n < 1 || n > 999 || len(version) > 3 || version[0] == '0' || version[0] == '+' {
		return errVersion
	}
	m.version = uint16(n)
	var stamp string
	for _, field := range []*string{&stamp, &m.host, &m.app, &m.proc, &m.id} {
		if !ok {
			return errHeader
		}
		if *field, rest, ok = strings.Cut(rest, " "); !isGraphic(*field, maxField) {
			return errField
		}
		if *field == "-" {
			*field = ""
		}
	}
	if !ok {
		return errHeader
	}
	if stamp != "" {
		if m.time, err = time.Parse(time.RFC3339Nano, stamp); err != nil {
			return errTimestamp
		}
	}
	if rest, err = m.parseData(rest); err != nil {
		return err
	}
	if rest != "" && rest[0] != ' ' {
		return errData
	}
	m.text = strings.TrimPrefix(rest, " ")
	return nil
}

// parseData reads structured data, and returns what follows.
func (m *message) parseData(s string) (rest string, err error) {
	if strings.HasPrefix(s, "-") {
		return s[1:], nil
	}
	if !strings.HasPrefix(s, "[") {
		return "", errData
	}
	for strings.HasPrefix(s, "[") {
		var e element
		if e.id, s = cutName(s[1:]); e.id == "" {
			return "", errData
		}
		for strings.HasPrefix(s, " ") {
			var p param
			p.name, s = cutName(s[1:])
			if p.name == "" || !strings.HasPrefix(s, `="`) {
				return "", errData
			}
			var ok bool
			if p.value, s, ok = cutValue(s[2:]); !ok {
				return "", errData
			}
			e.params = append(e.params, p)
		}
		if !strings.HasPrefix(s, "]") {
			return "", errData
		}
		s = s[1:]
		m.data = append(m.data, e)
	}
	return s, nil
}

// cutName cuts off the name of an element or a parameter; empty: there is none.
func cutName(s string) (name, rest string) {
	end := strings.IndexAny(s, `= ]"`)
	if end < 0 || !isGraphic(s[:end], maxField) {
		return "", s
	}
	return s[:end], s[end:]
}

// cutValue cuts off a value, up to the quote that ends it. A backslash that escapes
// nothing is kept.
func cutValue(s string) (value, rest string, ok bool) {
	escaped := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i+1 < len(s) && strings.IndexByte(`"\]`, s[i+1]) >= 0 {
				escaped = true
				i++
			}
		case ']':
			return "", s, false
		case '"':
			if value = s[:i]; escaped {
				value = unescape.Replace(value)
			}
			return value, s[i+1:], true
		}
	}
	return "", s, false
}

var (
	unescape = strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\]`, `]`)
	escape   = strings.NewReplacer(`"`, `\"`, `\`, `\\`, `]`, `\]`)
)

// String is a message of RFC 5424 written as Alloy does: the time with at most six
// digits of a second's fraction, the structured data in the order of its names, and
// of two with one name the last.
func (m *message) String() string {
	or := func(s string) string { return cmp.Or(s, "-") }
	stamp := "-"
	if !m.time.IsZero() {
		stamp = m.time.Format("2006-01-02T15:04:05.999999Z07:00")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<%d>%d %s %s %s %s %s ", m.priority, m.version, stamp, or(m.host), or(m.app), or(m.proc), or(m.id))
	for _, e := range byName(m.data, func(e element) string { return e.id }) {
		b.WriteString("[" + e.id)
		for _, p := range byName(e.params, func(p param) string { return p.name }) {
			b.WriteString(" " + p.name + `="` + escape.Replace(p.value) + `"`)
		}
		b.WriteString("]")
	}
	if len(m.data) == 0 {
		b.WriteString("-")
	}
	if m.text != "" {
		b.WriteString(" " + m.text)
	}
	return b.String()
}

// byName is list in the order of names; of several with one name it has the last.
func byName[T any](list []T, name func(T) string) []T {
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b T) int { return strings.Compare(name(a), name(b)) })
	kept := sorted[:0]
	for i, v := range sorted {
		if i+1 == len(sorted) || name(sorted[i+1]) != name(v) {
			kept = append(kept, v)
		}
	}
	return kept
}
