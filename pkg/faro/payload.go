package faro

import (
	"bytes"
	"encoding/json"
	"time"

	"collector/pkg/listen"
)

// Payload is what a Faro SDK sends. The names are its protocol's; fields that the
// receiver does nothing with are not read.
type Payload struct {
	Exceptions   []Exception     `json:"exceptions"`
	Logs         []Log           `json:"logs"`
	Measurements []Measurement   `json:"measurements"`
	Events       []Event         `json:"events"`
	Meta         Meta            `json:"meta"`
	Traces       json.RawMessage `json:"traces"` // an OTLP request
}

// Log is a line that the page has logged.
type Log struct {
	Message   string            `json:"message"`
	Level     string            `json:"level"`
	Context   map[string]string `json:"context"`
	Timestamp time.Time         `json:"timestamp"`
	Trace     Trace             `json:"trace"`
}

// Exception is an error that the page did not catch, or reported.
type Exception struct {
	Type       string            `json:"type"`
	Value      string            `json:"value"`
	Stacktrace *Stacktrace       `json:"stacktrace"`
	Timestamp  time.Time         `json:"timestamp"`
	Trace      Trace             `json:"trace"`
	Context    map[string]string `json:"context"`
}

// Stacktrace is where an Exception was thrown.
type Stacktrace struct {
	Frames []Frame `json:"frames"`
}

// Frame is a line of a Stacktrace.
type Frame struct {
	Function string `json:"function"`
	Module   string `json:"module"`
	Filename string `json:"filename"`
	Line     int    `json:"lineno"`
	Column   int    `json:"colno"`
}

// Measurement is a set of values, such as web vitals.
type Measurement struct {
	Type      string             `json:"type"`
	Values    map[string]float64 `json:"values"`
	Timestamp time.Time          `json:"timestamp"`
	Trace     Trace              `json:"trace"`
	Context   map[string]string  `json:"context"`
}

// Event is something that happened, such as a click.
type Event struct {
	Name       string            `json:"name"`
	Domain     string            `json:"domain"`
	Attributes map[string]string `json:"attributes"`
	Timestamp  time.Time         `json:"timestamp"`
	Trace      Trace             `json:"trace"`
}

// Trace is the span in which something happened.
type Trace struct {
	TraceID string `json:"trace_id"`
	SpanID  string `json:"span_id"`
}

// Meta is what all of a Payload has in common.
type Meta struct {
	SDK struct {
		Name         string `json:"name"`
		Version      string `json:"version"`
		Integrations []struct {
			Name    string `json:"name"`
			Version string `json:"version"`
		} `json:"integrations"`
	} `json:"sdk"`
	App struct {
		Name        string `json:"name"`
		Namespace   string `json:"namespace"`
		Release     string `json:"release"`
		Version     string `json:"version"`
		Environment string `json:"environment"`
	} `json:"app"`
	User struct {
		Email      string            `json:"email"`
		ID         string            `json:"id"`
		Username   string            `json:"username"`
		Attributes map[string]string `json:"attributes"`
	} `json:"user"`
	Session struct {
		ID         string            `json:"id"`
		Attributes map[string]string `json:"attributes"`
	} `json:"session"`
	Page struct {
		ID         string            `json:"id"`
		URL        string            `json:"url"`
		Attributes map[string]string `json:"attributes"`
	} `json:"page"`
	Browser struct {
		Name           string `json:"name"`
		Version        string `json:"version"`
		OS             string `json:"os"`
		Mobile         bool   `json:"mobile"`
		UserAgent      string `json:"userAgent"`
		Language       string `json:"language"`
		ViewportWidth  string `json:"viewportWidth"`
		ViewportHeight string `json:"viewportHeight"`
	} `json:"browser"`
	View struct {
		Name string `json:"name"`
	} `json:"view"`
}

// items counts what becomes log entries.
func (p *Payload) items() int {
	return len(p.Logs) + len(p.Exceptions) + len(p.Measurements) + len(p.Events)
}

// hasTraces reports whether there is a request of traces.
func (p *Payload) hasTraces() bool { return len(p.Traces) > 0 && string(p.Traces) != "null" }

// What decoding makes of an object and of another element, at most, besides their
// texts: the smallest are two and three bytes of a payload.
const (
	objectCost  = 256
	elementCost = 96
)

// decodedSize is about what decoding makes of data, with the copies of its texts.
func decodedSize(data []byte) int {
	return 3*len(data) + objectCost*bytes.Count(data, []byte("{")) + elementCost*bytes.Count(data, []byte(","))
}

// parse reads a payload under a claim on the memory. As in Alloy, keys may be of any
// case, unknown ones are skipped, a value of another type makes the whole payload
// invalid, and what follows it does not count.
func parse(claim *listen.Claim, data []byte) (*Payload, error) {
	if err := claim.Grow(decodedSize(data)); err != nil {
		return nil, err
	}
	p := new(Payload)
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(p); err != nil {
		return nil, err
	}
	return p, nil
}
