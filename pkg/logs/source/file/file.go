// Package file is loki.source.file: it reads lines from files.
//
// A file is followed through renames, truncation and removal. One goroutine reads all of
// them in turn:
//
//	files ──ready──▶ parts ──lines──▶ batch ──WriteLogs──▶ sinks
//	                   ▲                │
//	                   └── positions ◀─ nil
//
// What a path leads to now is the last part of its tail; those before it are
// files that were rotated away and have not been read to their end. A position
// says how far a part has been read and how to recognize it: device and inode,
// and the checksums of its first bytes and of those before the position. It moves
// only when every sink has accepted the lines before it.
package file

import (
	_ "embed"
	"fmt"
	"slices"
	"time"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/local/filematch"
	"collector/pkg/pipeline"
)

//go:embed loki.source.file.md
var page string

const (
	// defaultMaxLineSize is far above Loki's limit: a stage can shorten lines that are
	// too long for Loki.
	defaultMaxLineSize = 16 * component.MiB
	minMaxLineSize     = 1 * component.KiB
)

// What to do with files whose positions were lost.
const (
	onErrorBeginning = "restart_from_beginning"
	onErrorEnd       = "restart_from_end"
	onErrorSkip      = "skip"
)

// Config is the configuration of loki.source.file.
type Config struct {
	Targets              *discovery.Set      `alloy:"targets,attr"`
	ForwardTo            []pipeline.LogsSink `alloy:"forward_to,attr"`
	Encoding             string              `alloy:"encoding,attr,optional"`
	TailFromEnd          bool                `alloy:"tail_from_end,attr,optional"`
	LegacyPositionsFile  string              `alloy:"legacy_positions_file,attr,optional"`
	OnPositionsFileError string              `alloy:"on_positions_file_error,attr,optional"`
	// MaxLineSize is not Alloy's: longer lines are cut, marked and counted.
	MaxLineSize   component.Bytes `alloy:"max_line_size,attr,optional"`
	Decompression *Decompression  `alloy:"decompression,block,optional"`
	FileWatch     FileWatch       `alloy:"file_watch,block,optional"`
	FileMatch     FileMatch       `alloy:"file_match,block,optional"`
}

// Decompression configures the reading of compressed files.
type Decompression struct {
	Enabled      bool          `alloy:"enabled,attr"`
	InitialDelay time.Duration `alloy:"initial_delay,attr,optional"`
	Format       string        `alloy:"format,attr"`
}

// Validate reports settings that can't work.
func (d *Decompression) Validate() error {
	if !slices.Contains([]string{"gz", "z", "bz2"}, d.Format) {
		return component.At("format", fmt.Errorf("%q is unknown: use \"gz\", \"z\" or \"bz2\"", d.Format))
	}
	return nil
}

// FileWatch says how often files are polled for which the kernel reports no
// changes.
type FileWatch struct {
	MinPollFrequency time.Duration `alloy:"min_poll_frequency,attr,optional"`
	MaxPollFrequency time.Duration `alloy:"max_poll_frequency,attr,optional"`
}

// FileMatch makes the paths of the targets patterns.
type FileMatch struct {
	Enabled            bool `alloy:"enabled,attr,optional"`
	filematch.Settings `alloy:",squash"`
}

// SetToDefault sets what Alloy starts from.
func (c *Config) SetToDefault() {
	*c = Config{OnPositionsFileError: onErrorBeginning, MaxLineSize: defaultMaxLineSize}
	c.FileWatch.SetToDefault()
	c.FileMatch.SetToDefault()
}

// SetToDefault sets what Alloy starts from.
func (w *FileWatch) SetToDefault() {
	*w = FileWatch{MinPollFrequency: 250 * time.Millisecond, MaxPollFrequency: 250 * time.Millisecond}
}

// Validate reports settings that can't work.
func (c *Config) Validate() error {
	if !slices.Contains([]string{onErrorBeginning, onErrorEnd, onErrorSkip}, c.OnPositionsFileError) {
		return component.At("on_positions_file_error", fmt.Errorf("%q is unknown: use %q, %q or %q",
			c.OnPositionsFileError, onErrorBeginning, onErrorEnd, onErrorSkip))
	}
	if c.MaxLineSize < minMaxLineSize {
		return component.At("max_line_size", fmt.Errorf("%s: must be at least %s", c.MaxLineSize, minMaxLineSize))
	}
	return nil
}

// compressed reports whether the files are compressed.
func (c *Config) compressed() bool { return c.Decompression != nil && c.Decompression.Enabled }
