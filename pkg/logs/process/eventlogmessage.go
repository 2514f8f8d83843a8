package process

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"collector/pkg/component"

	"github.com/prometheus/common/model"
)

// EventLogMessageConfig is the block stage.eventlogmessage.
type EventLogMessageConfig struct {
	Source            string `alloy:"source,attr,optional"`
	DropInvalidLabels bool   `alloy:"drop_invalid_labels,attr,optional"`
	OverwriteExisting bool   `alloy:"overwrite_existing,attr,optional"`
}

// SetToDefault sets what Alloy starts from.
func (c *EventLogMessageConfig) SetToDefault() { *c = EventLogMessageConfig{Source: "message"} }

// Validate reports settings that can't work.
func (c *EventLogMessageConfig) Validate() error {
	if !model.LegacyValidation.IsValidLabelName(c.Source) {
		return component.At("source", fmt.Errorf("%q is not a valid name", c.Source))
	}
	return nil
}

// eventLogMessage extracts the pairs "key: value" of a message of Windows' event
// log, one a line. An entry whose message is no text is dropped.
type eventLogMessage struct{ cfg EventLogMessageConfig }

func newEventLogMessage(c EventLogMessageConfig) (Stage, error) {
	return &eventLogMessage{c}, c.Validate()
}

func (s *eventLogMessage) Process(e *Entry, emit Emit) {
	v, ok := e.Extracted.Get(s.cfg.Source)
	if !ok {
		emit(e)
		return
	}
	text, ok := v.String()
	if !ok {
		return
	}
	for line := range strings.SplitSeq(text, "\r\n") {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		if !model.LegacyValidation.IsValidLabelName(key) {
			if s.cfg.DropInvalidLabels {
				continue
			}
			key = validName(key)
		}
		if value = strings.TrimSpace(value); utf8.ValidString(value) {
			setEventValue(e, key, value, s.cfg.OverwriteExisting)
		}
	}
	emit(e)
}

// setEventValue sets a value that was found in an event.
func setEventValue(e *Entry, key, value string, overwrite bool) {
	if _, ok := e.Extracted.Get(key); ok && !overwrite {
		key += "_extracted"
	}
	e.Extracted.Set(key, Text(value))
}

// validName replaces what no name may have.
func validName(name string) string {
	if name == "" {
		return "_"
	}
	var out strings.Builder
	for i, c := range name {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (c < '0' || c > '9' || i == 0) {
			c = '_'
		}
		out.WriteRune(c)
	}
	return out.String()
}
