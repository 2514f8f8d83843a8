package syslog

import (
	"strings"
	"testing"
	"time"
)

func TestCiscosComponentsAreRead(t *testing.T) {
	const text = "%LINEPROTO-5-UPDOWN: Line protocol on Interface Loopback100, changed state to up"
	all := CiscoComponents{EnableAll: true}
	for _, test := range []struct {
		message string
		of      CiscoComponents
		host    string
		ms      int
	}{
		{"<189>237: 000485: router1: *Jan 8 19:46:03.295: " + text, all, "router1", 295},
		{"<189>237: 000485: router1: .Jan  8 19:46:03.295: " + text + "\n", all, "router1", 295},
		{"<189>237: *Jan  8 19:46:03.295: " + text, CiscoComponents{MessageCounter: true, SecondFractions: true}, "", 295},
		{"<189>: Jan  8 19:46:03: " + text, CiscoComponents{MessageCounter: true}, "", -1},
		{"<189>485: *Jan  8 19:46:03: " + text, CiscoComponents{SequenceNumber: true}, "", 0},
		{"<189>269614: host1: Jan  8 19:46:03: " + text, CiscoComponents{MessageCounter: true, Hostname: true}, "host1", 0},
		{"<189>237: *Jan  8 19:46:03.295: " + text, CiscoComponents{MessageCounter: true}, "", -1},
		{"<189>237: 000485: *Jan  8 19:46:03: " + text, CiscoComponents{MessageCounter: true}, "", -1},
		{"<189>x237: *Jan  8 19:46:03: " + text, CiscoComponents{MessageCounter: true}, "", -1},
		{"<189>237: *Jan  8 19:46:03: " + text, CiscoComponents{MessageCounter: true, Hostname: true}, "", -1},
		{"<189>*Jan  8 19:46:03:" + text, CiscoComponents{SecondFractions: true}, "", -1},
		{"*Jan  8 19:46:03: " + text, all, "", -1},
		{"<189>", all, "", -1},
	} {
		c := ListenerConfig{SyslogFormat: rfc3164, RFC3164CiscoComponents: &test.of}
		var m message
		if err := m.parse(test.message, &c); err != nil {
			if test.ms >= 0 {
				t.Errorf("%q: %v", test.message, err)
			}
			continue
		}
		want := time.Date(0, 1, 8, 19, 46, 3, test.ms*1e6, time.UTC)
		app, rest, _ := strings.Cut(text, ": ")
		if test.ms < 0 || m.host != test.host || m.app != app || m.text != rest || !m.time.Equal(want) || !m.yearless || m.severity() != "notice" {
			t.Errorf("%q is %+v", test.message, m)
		}
	}
}

// A message without a mnemonic keeps its first word.
func TestAMessageOfCiscosWithoutAMnemonicIsWhole(t *testing.T) {
	c := ListenerConfig{SyslogFormat: rfc3164, RFC3164CiscoComponents: &CiscoComponents{MessageCounter: true}}
	var m message
	if err := m.parse("<189>1: *Jan  8 19:46:03: some text", &c); err != nil || m.text != "some text" || m.host != "" {
		t.Errorf("%v, %+v", err, m)
	}
}

func TestCiscosComponentsThatCannotWork(t *testing.T) {
	var c ListenerConfig
	c.SetToDefault()
	c.Address, c.RFC3164CiscoComponents = "127.0.0.1:0", &CiscoComponents{EnableAll: true}
	if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "rfc3164_cisco_components") {
		t.Errorf("with RFC 5424: %v", err)
	}
	c.SyslogFormat = rfc3164
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.RFC3164CiscoComponents.EnableAll = false
	if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "rfc3164_cisco_components") {
		t.Errorf("without components: %v", err)
	}
}

// The text is the end of the message.
func FuzzCiscosMessages(f *testing.F) {
	f.Add("<189>237: 000485: router1: *Jan 8 19:46:03.295: %LINEPROTO-5-UPDOWN: Line protocol", true, true, true, true)
	f.Add("<189>237: Jan  8 19:46:03: x", true, false, false, false)
	f.Fuzz(func(t *testing.T, text string, counter, sequence, hostname, fractions bool) {
		var m message
		if m.parseCisco(text, CiscoComponents{false, counter, sequence, hostname, fractions}) != nil {
			return
		}
		if !strings.HasSuffix(strings.TrimSuffix(text, "\n"), strings.TrimSuffix(m.text, "\n")) || strings.ContainsAny(m.host, " \n") || hostname == (m.host == "") {
			t.Errorf("the text of %q is %q, from %q", text, m.text, m.host)
		}
	})
}
