package process

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"collector/pkg/component"

	"github.com/prometheus/common/model"
)

// WindowsEventConfig is the block stage.windowsevent.
type WindowsEventConfig struct {
	Source            string `alloy:"source,attr,optional"`
	DropInvalidLabels bool   `alloy:"drop_invalid_labels,attr,optional"`
	OverwriteExisting bool   `alloy:"overwrite_existing,attr,optional"`
}

// SetToDefault sets what Alloy starts from.
func (c *WindowsEventConfig) SetToDefault() { *c = WindowsEventConfig{Source: "message"} }

// Validate reports settings that can't work.
func (c *WindowsEventConfig) Validate() error {
	if !model.UTF8Validation.IsValidLabelName(c.Source) {
		return component.At("source", fmt.Errorf("%q is not a valid name", c.Source))
	}
	return nil
}

// windowsEvent extracts what a message of Windows' event log says: its first
// section as Description, and of the others the pairs "key: value", after the name
// of the section if it has one. An entry whose message is no text is dropped.
type windowsEvent struct {
	cfg    WindowsEventConfig
	keys   *strings.Replacer
	values *strings.Replacer
}

func newWindowsEvent(c WindowsEventConfig) (Stage, error) {
	return &windowsEvent{
		cfg:  c,
		keys: strings.NewReplacer("\t", "", "\r", "", "\n", "", " ", ""), values: strings.NewReplacer("\t", "", "\r", "", "\n", ""),
	}, c.Validate()
}

func (s *windowsEvent) Process(e *Entry, emit Emit) {
	v, ok := e.Extracted.Get(s.cfg.Source)
	if !ok {
		emit(e)
		return
	}
	text, ok := v.String()
	if !ok {
		return
	}
	for i, section := range strings.Split(text, "\r\n\r\n") {
		if i == 0 {
			s.set(e, "Description", section)
		} else {
			s.section(e, strings.Split(section, "\r\n"))
		}
	}
	emit(e)
}

// section reads the lines of a section. A first line without a value names it; a line
// without a colon continues the previous value.
func (s *windowsEvent) section(e *Entry, lines []string) {
	prefix := ""
	for i := 0; i < len(lines); {
		key, value, ok := strings.Cut(lines[i], ":")
		i++
		switch {
		case !ok:
			continue
		case value == "":
			if i == 1 {
				prefix = key
			}
			continue
		}
		for ; i < len(lines) && lines[i] != "" && !strings.Contains(lines[i], ":"); i++ {
			value += "," + lines[i]
		}
		if prefix != "" {
			key = prefix + "_" + key
		}
		s.set(e, key, value)
	}
}

func (s *windowsEvent) set(e *Entry, key, value string) {
	key = s.keys.Replace(key)
	if !model.UTF8Validation.IsValidLabelName(key) {
		if s.cfg.DropInvalidLabels {
			return
		}
		key = validName(key)
	}
	if value = strings.TrimSpace(s.values.Replace(value)); utf8.ValidString(value) {
		setEventValue(e, key, value, s.cfg.OverwriteExisting)
	}
}
