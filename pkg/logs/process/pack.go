package process

import (
	"time"

	"slices"

	jsoniter "github.com/json-iterator/go"
)

// PackConfig is the block stage.pack.
type PackConfig struct {
	Labels          []string `alloy:"labels,attr"`
	IngestTimestamp bool     `alloy:"ingest_timestamp,attr,optional"`
}

// SetToDefault sets what Alloy starts from.
func (c *PackConfig) SetToDefault() { *c = PackConfig{IngestTimestamp: true} }

// packedLine is the key of the line in what pack makes.
const packedLine = "_entry"

// pack makes the line an object of JSON, and moves labels and values that were
// extracted into it.
type pack struct {
	names []string // sorted
	now   bool
	json  jsoniter.API
}

func newPack(c PackConfig) Stage {
	names := slices.Clone(c.Labels)
	slices.Sort(names)
	return &pack{slices.Compact(names), c.IngestTimestamp, jsoniter.ConfigDefault}
}

func (s *pack) Process(e *Entry, emit Emit) {
	out := s.json.BorrowStream(nil)
	defer s.json.ReturnStream(out)
	out.WriteObjectStart()
	for _, name := range s.names {
		value, ok := e.Extracted.Text(name)
		if !ok {
			continue
		}
		out.WriteStringWithHTMLEscaped(name)
		out.WriteRaw(":")
		out.WriteStringWithHTMLEscaped(value)
		out.WriteMore()
		e.Labels.Delete(name)
	}
	out.WriteStringWithHTMLEscaped(packedLine)
	out.WriteRaw(":")
	out.WriteStringWithHTMLEscaped(e.Line)
	out.WriteObjectEnd()
	e.Line = string(out.Buffer())
	if s.now {
		e.Time = time.Now()
	}
	emit(e)
}
