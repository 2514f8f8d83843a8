// Package journal is loki.source.journal: it reads the systemd journal.
//
// One goroutine reads the files of all folders, merged by time:
//
//	files ──entries──▶ matches ──▶ labels ──▶ batch ──WriteLogs──▶ sinks
//	  ▲                                         │
//	  └────────────── positions ◀────────── nil ┘
//
// A position says, for each file, how many of its entries have been read. Files are
// known by the identifier in their header, which stays when they are rotated.
package journal

import (
	_ "embed"
	"fmt"
	"time"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/pipeline"
)

//go:embed loki.source.journal.md
var page string

const (
	// defaultMaxLineSize is as for files: a stage can shorten what is too long for Loki.
	defaultMaxLineSize = 16 * component.MiB
	minMaxLineSize     = 1 * component.KiB
)

// Config is the configuration of loki.source.journal.
type Config struct {
	FormatAsJSON bool                `alloy:"format_as_json,attr,optional"`
	MaxAge       time.Duration       `alloy:"max_age,attr,optional"`
	Path         string              `alloy:"path,attr,optional"`
	RelabelRules *discovery.Rules    `alloy:"relabel_rules,attr,optional"`
	Matches      string              `alloy:"matches,attr,optional"`
	ForwardTo    []pipeline.LogsSink `alloy:"forward_to,attr"`
	Labels       map[string]string   `alloy:"labels,attr,optional"`
	// MaxLineSize is not Alloy's: longer fields are cut, marked and counted.
	MaxLineSize    component.Bytes `alloy:"max_line_size,attr,optional"`
	LegacyPosition *LegacyPosition `alloy:"legacy_position,block,optional"`
}

// LegacyPosition says where Promtail, or the static agent, has kept its position.
type LegacyPosition struct {
	File string `alloy:"file,attr"`
	Name string `alloy:"name,attr"`
}

// SetToDefault sets what Alloy starts from.
func (c *Config) SetToDefault() {
	*c = Config{MaxAge: 7 * time.Hour, MaxLineSize: defaultMaxLineSize}
}

// Validate reports settings that can't work.
func (c *Config) Validate() error {
	if _, err := parseMatches(c.Matches); err != nil {
		return component.At("matches", err)
	}
	if c.MaxLineSize < minMaxLineSize {
		return component.At("max_line_size", fmt.Errorf("%s: must be at least %s", c.MaxLineSize, minMaxLineSize))
	}
	return nil
}

// Definition is the component loki.source.journal.
func Definition() component.Definition {
	return component.Define("loki.source.journal", New, component.Doc{Page: page})
}
