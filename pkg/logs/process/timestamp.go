package process

import (
	"container/list"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"collector/pkg/component"
)

// maxFudgedStreams bounds the streams whose last time is remembered.
const maxFudgedStreams = 10_000

// TimestampConfig is the block stage.timestamp.
type TimestampConfig struct {
	Source          string   `alloy:"source,attr"`
	Format          string   `alloy:"format,attr"`
	FallbackFormats []string `alloy:"fallback_formats,attr,optional"`
	Location        *string  `alloy:"location,attr,optional"`
	ActionOnFailure string   `alloy:"action_on_failure,attr,optional"`
}

// Validate reports settings that can't work.
func (c *TimestampConfig) Validate() error {
	_, err := newTimestamp(*c)
	return err
}

// timestamp makes the time of an entry of a value that was extracted. Where that
// fails, the time is the previous entry's in the stream, moved by the least
// that there is, or stays as it is.
type timestamp struct {
	source  string
	formats []timeParser
	fudge   bool
	last    lastTimes
}

type timeParser func(string) (time.Time, error)

func newTimestamp(c TimestampConfig) (Stage, error) {
	s := &timestamp{source: c.Source, fudge: true}
	var location *time.Location
	var err error
	switch {
	case c.Source == "":
		return nil, component.At("source", errors.New("it must not be empty"))
	case c.Format == "":
		return nil, component.At("format", errors.New("it must not be empty"))
	case c.Location != nil:
		if location, err = time.LoadLocation(*c.Location); err != nil {
			return nil, component.At("location", fmt.Errorf("%q: %w; for example: \"Europe/Berlin\"", *c.Location, err))
		}
	}
	switch c.ActionOnFailure {
	case "", "fudge":
	case "skip":
		s.fudge = false
	default:
		return nil, component.At("action_on_failure", fmt.Errorf("%q must be \"fudge\" or \"skip\"", c.ActionOnFailure))
	}
	for _, format := range append([]string{c.Format}, c.FallbackFormats...) {
		s.formats = append(s.formats, newTimeParser(format, location))
	}
	return s, nil
}

func (s *timestamp) Process(e *Entry, emit Emit) {
	at, ok := s.parse(e)
	switch {
	case ok:
		e.Time = at
		if s.fudge {
			s.last.set(e, at)
		}
	case s.fudge:
		if at, ok := s.last.get(e); ok {
			e.Time = at.Add(time.Nanosecond)
			s.last.set(e, e.Time)
		}
	}
	emit(e)
}

func (s *timestamp) parse(e *Entry) (time.Time, bool) {
	text, ok := e.Extracted.Text(s.source)
	if !ok {
		return time.Time{}, false
	}
	for _, parse := range s.formats {
		if at, err := parse(text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// newTimeParser makes a parser of a format: a name, or a layout of Go's.
func newTimeParser(format string, location *time.Location) timeParser {
	named := map[string]string{
		"ANSIC": time.ANSIC, "UnixDate": time.UnixDate, "RubyDate": time.RubyDate, "RFC822": time.RFC822, "RFC822Z": time.RFC822Z,
		"RFC850": time.RFC850, "RFC1123": time.RFC1123, "RFC1123Z": time.RFC1123Z, "RFC3339": time.RFC3339, "RFC3339Nano": time.RFC3339Nano,
	}
	if layout, ok := named[format]; ok {
		return func(text string) (time.Time, error) { return time.Parse(layout, text) }
	}
	units := map[string]time.Duration{"UnixMs": time.Millisecond, "UnixUs": time.Microsecond, "UnixNs": time.Nanosecond}
	if unit, ok := units[format]; ok {
		return func(text string) (time.Time, error) {
			n, err := strconv.ParseInt(text, 10, 64)
			return time.Unix(0, n*int64(unit)), err
		}
	}
	if format == "Unix" {
		return parseUnix
	}
	if location == nil {
		location = time.UTC
	}
	if strings.Contains(format, "06") {
		return func(text string) (time.Time, error) { return time.ParseInLocation(format, text, location) }
	}
	return func(text string) (time.Time, error) {
		at, err := time.ParseInLocation(format, text, location)
		if err != nil {
			return at, err
		}
		if at.Year() != 0 {
			return at, errors.New("the text has a year, which the format lacks")
		}
		return withYear(at, time.Now()), nil
	}
}

// parseUnix reads seconds, with a fraction or without.
func parseUnix(text string) (time.Time, error) {
	whole, fraction, ok := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || !ok {
		return time.Unix(seconds, 0), err
	}
	n, err := strconv.ParseInt(fraction, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(seconds, int64(float64(n)*math.Pow(10, float64(9-len(fraction))))), nil
}

// withYear gives a time without a year the one that is nearest, as far as
// December and January tell.
func withYear(at, now time.Time) time.Time {
	year := now.Year()
	switch {
	case at.Month() == time.December && now.Month() == time.January:
		year--
	case at.Month() == time.January && now.Month() == time.December:
		year++
	}
	return at.AddDate(year, 0, 0)
}

// lastTimes are the last times of streams: those that were used last.
type lastTimes struct {
	times map[string]*list.Element // of lastTime, by the labels
	order *list.List               // the one used last in front
	key   []byte
}

type lastTime struct {
	key string
	at  time.Time
}

func (l *lastTimes) find(e *Entry) *list.Element {
	if l.times == nil {
		l.times, l.order = make(map[string]*list.Element), list.New()
	}
	l.key = e.Labels.appendKey(l.key[:0])
	if front := l.order.Front(); front != nil && front.Value.(*lastTime).key == string(l.key) {
		return front // as that of the entry before, mostly
	}
	return l.times[string(l.key)]
}

func (l *lastTimes) get(e *Entry) (time.Time, bool) {
	at := l.find(e)
	if at == nil {
		return time.Time{}, false
	}
	return at.Value.(*lastTime).at, true
}

func (l *lastTimes) set(e *Entry, at time.Time) {
	if have := l.find(e); have != nil {
		have.Value.(*lastTime).at = at
		l.order.MoveToFront(have)
		return
	}
	for len(l.times) >= maxFudgedStreams {
		delete(l.times, l.order.Remove(l.order.Back()).(*lastTime).key)
	}
	entry := &lastTime{string(slices.Clone(l.key)), at}
	l.times[entry.key] = l.order.PushFront(entry)
}
