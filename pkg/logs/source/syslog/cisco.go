package syslog

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"collector/pkg/component"
)

// CiscoComponents is the block rfc3164_cisco_components: what a device puts before the
// message.
type CiscoComponents struct {
	EnableAll       bool `alloy:"enable_all,attr,optional"`
	MessageCounter  bool `alloy:"message_counter,attr,optional"`
	SequenceNumber  bool `alloy:"sequence_number,attr,optional"`
	Hostname        bool `alloy:"hostname,attr,optional"`
	SecondFractions bool `alloy:"second_fractions,attr,optional"`
}

// check reports a block that cannot work.
func (c *CiscoComponents) check(format string) error {
	const block = "rfc3164_cisco_components"
	switch {
	case c == nil:
	case format != rfc3164:
		return component.At(block, fmt.Errorf("it is for syslog_format = %q", rfc3164))
	case *c == (CiscoComponents{}):
		return component.At(block, errors.New("one of its arguments must be true"))
	}
	return nil
}

// all is c with what enable_all enables.
func (c CiscoComponents) all() CiscoComponents {
	if c.EnableAll {
		return CiscoComponents{true, true, true, true, true}
	}
	return c
}

var (
	errCounter  = errors.New("a counter and a colon are expected: the components must be those that the device sends")
	errHostname = errors.New("a host name and a colon are expected: the components must be those that the device sends")
)

// parseCisco reads a message of Cisco's IOS, with the components that c says:
//
//	<priority>counter: sequence: host: *Jan  8 19:46:03.295: %LINEPROTO-5-UPDOWN: message
//
// The mark before the timestamp, "*" or ".", says that the clock is not set.
func (m *message) parseCisco(s string, c CiscoComponents) error {
	*m = message{data: m.data[:0]}
	rest, err := m.parsePriority(s)
	if err != nil {
		return err
	}
	rest = strings.TrimLeft(rest, " ")
	for _, counter := range []bool{c.MessageCounter, c.SequenceNumber} {
		if !counter {
			continue
		}
		number, after, ok := strings.Cut(rest, ":")
		if !ok || strings.Trim(number, "0123456789") != "" || !isGraphic(number, maxField) {
			return errCounter
		}
		rest = strings.TrimLeft(after, " ")
	}
	if c.Hostname {
		host, after, ok := strings.Cut(rest, ": ")
		if !ok || !isGraphic(host, maxField) {
			return errHostname
		}
		m.host, rest = host, strings.TrimLeft(after, " ")
	}
	if strings.HasPrefix(rest, "*") || strings.HasPrefix(rest, ".") {
		rest = rest[1:]
	}
	if rest, err = m.parseCiscoStamp(rest, c.SecondFractions); err != nil {
		return err
	}
	m.text = m.parseTag(strings.TrimSuffix(strings.TrimLeft(rest, " "), "\n"))
	return nil
}

// parseCiscoStamp reads the timestamp, which a colon and a space follow.
func (m *message) parseCiscoStamp(s string, fractions bool) (rest string, err error) {
	for _, n := range []int{len("Jan _2 15:04:05"), len("Jan 2 15:04:05")} {
		if len(s) <= n {
			continue
		}
		end := n
		if fractions && s[end] == '.' {
			for end++; end < len(s) && s[end] >= '0' && s[end] <= '9'; end++ {
			}
		}
		after, _ := strings.CutPrefix(s[end:], ":")
		if !strings.HasPrefix(after, " ") {
			continue
		}
		if m.time, err = time.Parse(time.Stamp, s[:end]); err == nil {
			m.yearless = true
			return after, nil
		}
	}
	return "", errTimestamp
}
