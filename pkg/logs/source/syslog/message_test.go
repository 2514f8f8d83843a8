package syslog

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// told is what a message says.
type told struct {
	Severity, Facility  string
	Time                string
	Host, App, Proc, ID string
	Data                string
	Text                string
}

func tell(m *message) told {
	out := told{Severity: m.severity(), Facility: m.facility(), Host: m.host, App: m.app, Proc: m.proc, ID: m.id, Text: m.text}
	if !m.time.IsZero() {
		out.Time = m.time.Format(time.RFC3339Nano)
	}
	for _, e := range m.data {
		out.Data += "[" + e.id
		for _, p := range e.params {
			out.Data += " " + p.name + "=" + p.value
		}
		out.Data += "]"
	}
	return out
}

func TestMessagesOfRFC5424(t *testing.T) {
	for text, want := range map[string]told{
		`<165>1 2023-11-14T22:13:20.5Z host1 app1 77 ID1 [ex@1 k="v" q="a\"b\]"][other x="1"] first message`: {
			"notice", "local4", "2023-11-14T22:13:20.5Z", "host1", "app1", "77", "ID1", `[ex@1 k=v q=a"b]][other x=1]`, "first message"},
		`<34>1 2023-11-14T23:13:21+01:00 - - - - - nil everywhere`: {"critical", "auth", "2023-11-14T23:13:21+01:00", "", "", "", "", "", "nil everywhere"},
		`<0>999 - - - - - -`:                               {"emergency", "kern", "", "", "", "", "", "", ""},
		`<191>1 - - - - - - `:                              {"debug", "local7", "", "", "", "", "", "", ""},
		`<13>1 - - - - - [a] x`:                            {"notice", "user", "", "", "", "", "", "[a]", "x"},
		`<13>1 - - - - - [a b="\c\\"]  x `:                 {"notice", "user", "", "", "", "", "", `[a b=\c\]`, " x "},
		`<13>1 - - - - - [a][a] x`:                         {"notice", "user", "", "", "", "", "", "[a][a]", "x"},
		"<13>1 - - - - - - \ufeffüber\n\tx":                {"notice", "user", "", "", "", "", "", "", "\ufeffüber\n\tx"},
		`<13>1 2023-11-14T22:13:20.123456789Z h a - - - x`: {"notice", "user", "2023-11-14T22:13:20.123456789Z", "h", "a", "", "", "", "x"},
	} {
		var m message
		if err := m.parse5424(text); err != nil {
			t.Errorf("%q: %v", text, err)
		} else if diff := cmp.Diff(want, tell(&m)); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestWhatIsNoMessageOfRFC5424(t *testing.T) {
	for text, want := range map[string]error{
		"": errPriority, "x": errPriority, "<>1 - - - - - -": errPriority, "<192>1 - - - - - -": errPriority, "<999>1 broken": errPriority,
		"<01>1 - - - - - -": errPriority, "<1a>1 - - - - - -": errPriority, "<1": errPriority, "<+1>1 - - - - - -": errPriority,
		"<1>": errVersion, "<1>0 - - - - - -": errVersion, "<1>1000 - - - - - -": errVersion, "<1>Oct 11 22:14:15 h t: x": errVersion, "<1>01 - - - - - -": errVersion,
		"<1>1": errHeader, "<1>1 - - - - -": errHeader,
		"<1>1  - - - - - x": errField, "<1>1 - hö - - - - x": errField, "<1>1 - " + strings.Repeat("h", 256) + " - - - - x": errField,
		"<1>1 - - - - - ": errData, "<1>1 - - - - - x": errData, "<1>1 - - - - - -x": errData, "<1>1 - - - - - []": errData, "<1>1 - - - - - [a": errData,
		"<1>1 - - - - - [a b]": errData, `<1>1 - - - - - [a b="c]"]`: errData, `<1>1 - - - - - [a b="c]`: errData, `<1>1 - - - - - [a ="c"]`: errData, `<1>1 - - - - - [a]x`: errData,
		"<1>1 now - - - - - x": errTimestamp, "<1>1 2023-13-14T22:13:20Z - - - - - x": errTimestamp, "<1>1 2023-11-14T22:13:20 - - - - - x": errTimestamp,
	} {
		var m message
		if err := m.parse5424(text); err != want {
			t.Errorf("%q: error %v, want %v", text, err, want)
		}
	}
}

func TestMessagesOfRFC3164(t *testing.T) {
	notice := func(host, app, proc, text string) told {
		return told{"notice", "user", "0000-10-11T22:14:15Z", host, app, proc, "", "", text}
	}
	for text, want := range map[string]told{
		"<34>Oct 11 22:14:15 mymachine su[12]: failed for x": {"critical", "auth", "0000-10-11T22:14:15Z", "mymachine", "su", "12", "", "", "failed for x"},
		"<13>Feb  5 17:32:18 10.0.0.99 prog: Use the":        {"notice", "user", "0000-02-05T17:32:18Z", "10.0.0.99", "prog", "", "", "", "Use the"},
		"<13>Feb 5 17:32:18 h prog: x":                       {"notice", "user", "0000-02-05T17:32:18Z", "h", "prog", "", "", "", "x"},
		"<13>2023-11-14T22:13:20.5+01:00 h prog: x":          {"notice", "user", "2023-11-14T22:13:20.5+01:00", "h", "prog", "", "", "", "x"},
		"<13>Oct 11 22:14:15 h no tag here":                  notice("h", "", "", "no tag here"),
		"<13>Oct 11 22:14:15 h  no tag here":                 notice("h", "", "", "no tag here"),
		"<13> Oct 11 22:14:15 h t: x":                        notice("h", "t", "", "x"),
		"<13>Oct 11 22:14:15 syslogd[18823]: start":          notice("", "syslogd", "18823", "start"),
		"<13>Oct 11 22:14:15 doas: catap ran":                notice("", "doas", "", "catap ran"),
		"<13>Oct 11 22:14:15 h t:  x":                        notice("h", "t", "", " x"),
		"<13>Oct 11 22:14:15 h t: ":                          notice("h", "t", "", "t: "),
		"<13>Oct 11 22:14:15 h t:x y":                        notice("h", "t", "", "t:x y"),
		"<13>Oct 11 22:14:15 h t[1] x":                       notice("h", "", "", "t[1] x"),
		"<13>Oct 11 22:14:15 h t[]: x":                       notice("h", "t", "", "x"),
		"<13>Oct 11 22:14:15 fe80::1 t: x":                   notice("fe80::1", "t", "", "x"),
		"<13>Oct 11 22:14:15 word":                           notice("", "", "", "word"),
		"<13>Oct 11 22:14:15 h t: a\tb\x00ü\n":               notice("h", "t", "", "a\tb\x00ü"),
		"<13>Oct 11 22:14:15 ":                               notice("", "", "", ""),
	} {
		var m message
		if err := m.parse3164(text); err != nil {
			t.Errorf("%q: %v", text, err)
		} else if diff := cmp.Diff(want, tell(&m)); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	for text, want := range map[string]error{
		"Oct 11 22:14:15 h t: x": errPriority, "<13>": errTimestamp, "<13>x": errTimestamp, "<13>Oct 11 22:14:15": errTimestamp,
		"<13>Oct 32 22:14:15 h t: x": errTimestamp, "<13>Oct 11 22:14:15h t: x": errTimestamp, "<13>1 - - - - - - x": errTimestamp,
	} {
		var m message
		if err := m.parse3164(text); err != want {
			t.Errorf("%q: error %v, want %v", text, err, want)
		}
	}
}

func TestAWholeMessageIsWrittenAsAlloyWritesIt(t *testing.T) {
	for text, want := range map[string]string{
		`<165>1 2023-11-14T22:13:20.500Z h a 77 I [z@1 k="v" b="\"\\\]"][a] first`: `<165>1 2023-11-14T22:13:20.5Z h a 77 I [a][z@1 b="\"\\\]" k="v"] first`,
		`<13>1 - - - - - - x`:                       `<13>1 - - - - - - x`,
		`<13>1 - - - - - [a b="1" b="2"][a] x`:      `<13>1 - - - - - [a] x`,
		`<13>1 - - - - - [a b="1" b="2"] x`:         `<13>1 - - - - - [a b="2"] x`,
		`<13>1 2023-11-14T22:13:20+01:00 - - - - -`: `<13>1 2023-11-14T22:13:20+01:00 - - - - -`,
	} {
		var m message
		if err := m.parse5424(text); err != nil {
			t.Errorf("%q: %v", text, err)
		} else if got := m.String(); got != want {
			t.Errorf("%q is written %q, want %q", text, got, want)
		}
	}
}

func TestATimeWithoutAYearIsInTheNearestYear(t *testing.T) {
	for _, test := range []struct{ stamp, now, want string }{
		{"Oct 11 22:14:15", "2026-11-30T00:00:00Z", "2026-10-11T22:14:15Z"},
		{"Dec 31 23:59:59", "2027-01-01T00:00:01Z", "2026-12-31T23:59:59Z"},
		{"Jan  1 00:00:01", "2026-12-31T23:59:59Z", "2027-01-01T00:00:01Z"},
		{"Feb 29 12:00:00", "2028-03-01T00:00:00Z", "2028-02-29T12:00:00Z"},
	} {
		stamp, err := time.Parse(time.Stamp, test.stamp)
		if err != nil {
			t.Fatal(err)
		}
		now, err := time.Parse(time.RFC3339, test.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := inYear(stamp, now).Format(time.RFC3339); got != test.want {
			t.Errorf("%s at %s is %s, want %s", test.stamp, test.now, got, test.want)
		}
	}
}

// What is parsed and written says the same when it is parsed again.
func FuzzRFC5424(f *testing.F) {
	f.Add(`<165>1 2023-11-14T22:13:20.5Z host1 app1 77 ID1 [ex@1 k="v" q="a\"b\]"][other x="1"] first message`)
	f.Add(`<13>1 - - - - - [a b="\c\\"] x`)
	f.Fuzz(func(t *testing.T, text string) {
		var m, again message
		if m.parse5424(text) != nil {
			return
		}
		written := m.String()
		if err := again.parse5424(written); err != nil {
			t.Fatalf("%q is written %q, which is not valid: %v", text, written, err)
		}
		if second := again.String(); second != written || again.text != m.text || again.host != m.host || again.priority != m.priority {
			t.Errorf("%q is written %q, and that %q", text, written, second)
		}
	})
}

// The text is the end of the message, and what comes before is in its order.
func FuzzRFC3164(f *testing.F) {
	f.Add("<34>Oct 11 22:14:15 mymachine su[12]: failed for x")
	f.Add("<13>2023-11-14T22:13:20.5+01:00 h prog: x")
	f.Fuzz(func(t *testing.T, text string) {
		var m message
		if m.parse3164(text) != nil {
			return
		}
		if !strings.HasSuffix(strings.TrimSuffix(text, "\n"), strings.TrimSuffix(m.text, "\n")) {
			t.Errorf("the text of %q is %q", text, m.text)
		}
		if strings.ContainsAny(m.host, " \n") || strings.ContainsAny(m.app, " :[\n") || strings.ContainsAny(m.proc, " []") {
			t.Errorf("%q has the host %q, the program %q and the process %q", text, m.host, m.app, m.proc)
		}
	})
}
