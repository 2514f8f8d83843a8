// Package received is what the stand-in reports about what has arrived.
package received

import "time"

// Received is everything, in the order in which it came.
type Received struct {
	Lines    []Line
	Spans    []Span
	Profiles []string // name, with its labels, and the body's hash
}

// Line is a log line.
type Line struct {
	Labels string
	Time   time.Time
	Text   string
}

// Span is a span, with the string attributes of its resource.
type Span struct {
	TraceID, SpanID, ParentID string
	Name                      string
	Resource                  map[string]string
}
