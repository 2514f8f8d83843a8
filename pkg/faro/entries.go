package faro

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"github.com/go-logfmt/logfmt"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/listen"
	"collector/pkg/pipeline"
)

// entryCost is what an entry takes besides its line, with the room that slices have
// for more, and its labels.
const entryCost = 2*int(unsafe.Sizeof(pipeline.Entry{})) + 2*int(unsafe.Sizeof(pipeline.Stream{}))

// extraLabel is a label of extra_log_labels. Without a value it has that of the field
// of its name.
type extraLabel struct{ name, value string }

func extraLabels(configured map[string]string) (out []extraLabel) {
	for name, value := range configured {
		out = append(out, extraLabel{name, value})
	}
	slices.SortFunc(out, func(a, b extraLabel) int { return cmp.Compare(a.name, b.name) })
	return out
}

// writer makes log entries of one payload, under its claim on the memory: each line
// repeats what the payload holds once.
type writer struct {
	claim  *listen.Claim
	json   bool
	labels []extraLabel

	now     time.Time
	common  *fields
	fields  *fields
	line    bytes.Buffer
	scratch labels.ScratchBuilder
	streams []pipeline.Stream
}

// entries are the entries of p: logs, exceptions, measurements and events.
func (w *writer) entries(p *Payload) (pipeline.Logs, error) {
	w.now, w.common, w.fields = time.Now(), newFields(), newFields()
	w.common.meta(&p.Meta)
	var errs error
	add := func(set func(f *fields)) bool {
		errs = w.entry(set)
		return errs == nil
	}
	for i := range p.Logs {
		if !add(func(f *fields) { f.log(&p.Logs[i]) }) {
			return pipeline.Logs{}, errs
		}
	}
	for i := range p.Exceptions {
		if !add(func(f *fields) { f.exception(&p.Exceptions[i]) }) {
			return pipeline.Logs{}, errs
		}
	}
	for i := range p.Measurements {
		if !add(func(f *fields) { f.measurement(&p.Measurements[i]) }) {
			return pipeline.Logs{}, errs
		}
	}
	for i := range p.Events {
		if !add(func(f *fields) { f.event(&p.Events[i]) }) {
			return pipeline.Logs{}, errs
		}
	}
	return pipeline.Logs{Streams: w.streams}, nil
}

// entry adds the entry of an item whose fields set sets. Each gets its own time, as Loki
// keeps only one of several identical entries.
func (w *writer) entry(set func(*fields)) error {
	expected := entryCost + w.common.size
	if err := w.claim.Grow(expected); err != nil {
		return err
	}
	w.fields.reset()
	set(w.fields)
	w.fields.add(w.common)
	if err := w.encode(); err != nil {
		return err
	}
	lset := w.labelsOf()
	if err := w.claim.Grow(entryCost + w.line.Len() + labelSize(lset) - expected); err != nil {
		return err
	}
	w.now = w.now.Add(1)
	e := pipeline.Entry{Time: w.now, Line: w.line.String()}
	if n := len(w.streams); n > 0 && labels.Equal(w.streams[n-1].Labels, lset) {
		w.streams[n-1].Entries = append(w.streams[n-1].Entries, e)
		return nil
	}
	w.streams = append(w.streams, pipeline.Stream{Labels: lset, Entries: []pipeline.Entry{e}})
	return nil
}

// encode writes the fields to w.line. In logfmt, a key without a character that it
// allows is omitted.
func (w *writer) encode() error {
	w.line.Reset()
	if w.json {
		all := make(map[string]any, len(w.fields.keys))
		for i, key := range w.fields.keys {
			all[key] = w.fields.values[i]
		}
		text, err := json.Marshal(all)
		w.line.Write(text)
		return err
	}
	e := logfmt.NewEncoder(&w.line)
	for i, key := range w.fields.keys {
		if err := e.EncodeKeyval(key, w.fields.values[i]); err != nil && !errors.Is(err, logfmt.ErrInvalidKey) {
			return fmt.Errorf("write the field %.40q: %w", key, err)
		}
	}
	return nil
}

// labelsOf are the labels of the entry with w.fields.
func (w *writer) labelsOf() labels.Labels {
	w.scratch.Reset()
	for _, l := range w.labels {
		value := l.value
		if value == "" {
			value, _ = w.fields.get(l.name)
		}
		if value != "" {
			w.scratch.Add(l.name, value)
		}
	}
	return w.scratch.Labels()
}

func labelSize(lset labels.Labels) (n int) {
	lset.Range(func(l labels.Label) { n += len(l.Name) + len(l.Value) })
	return n
}
