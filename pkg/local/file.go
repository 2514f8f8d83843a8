package local

import (
	"context"
	_ "embed"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/filewatch"
	"collector/pkg/lastgood"
)

//go:embed local.file.md
var filePage string

func fileDefinition() component.Definition {
	return component.Define("local.file", NewFile, component.Doc{
		Page:    filePage,
		Exports: []component.Export{{Name: "content", Type: "string or secret", Note: "The file's content, including its last line break; a secret with `is_secret`."}},
	})
}

// maxContent bounds a file: its text is a value of the configuration.
const maxContent = 16 << 20

// FileConfig configures local.file.
type FileConfig struct {
	Filename      string             `alloy:"filename,attr,file"`
	Detector      filewatch.Detector `alloy:"detector,attr,optional"`
	PollFrequency time.Duration      `alloy:"poll_frequency,attr,optional"`
	IsSecret      bool               `alloy:"is_secret,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *FileConfig) SetToDefault() {
	*c = FileConfig{Detector: filewatch.Notify, PollFrequency: time.Minute}
}

// Validate checks what the types allow and polling does not.
func (c *FileConfig) Validate() error {
	if c.PollFrequency <= 0 {
		return component.At("poll_frequency", errors.New("must be more than 0s"))
	}
	return nil
}

// File exports what is in a file.
type File struct {
	config FileConfig
	o      component.Options
	read   prometheus.Gauge

	content *lastgood.Value[string]
}

// NewFile makes a local.file. It reads the file, which has to exist.
func NewFile(c FileConfig, o component.Options) (*File, error) {
	o = o.WithDefaults()
	f := &File{config: c, o: o, read: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "local_file_timestamp_last_accessed_unix_seconds", Help: "When the file was last read successfully.",
	})}
	text, err := filewatch.Read(c.Filename, maxContent)
	if err != nil {
		return nil, component.At("filename", err)
	}
	f.content = lastgood.New(string(text), func(a, b string) bool { return a == b })
	f.read.SetToCurrentTime()
	o.Metrics.MustRegister(f.read)
	return f, nil
}

// Exports gives the content as it was last read.
func (f *File) Exports() map[string]any {
	content := f.content.Get()
	if f.config.IsSecret {
		return map[string]any{"content": component.Secret(content)}
	}
	return map[string]any{"content": content}
}

// Run reads the file again whenever it may have changed, until ctx ends.
func (f *File) Run(ctx context.Context) error {
	o := filewatch.Options{Paths: []string{f.config.Filename}, Detector: f.config.Detector, Every: f.config.PollFrequency, Logger: f.o.Logger}
	f.o.Files.Watch(ctx, o, f.look)
	return nil
}

// look reads the file. A file that cannot be read leaves the content as it is.
func (f *File) look() {
	text, err := filewatch.Read(f.config.Filename, maxContent)
	changed, failed := f.content.Read(string(text), err)
	switch {
	case failed:
		f.o.Logger.Warn("the file cannot be read; keeping its last content", "path", f.config.Filename, "err", err)
	case err == nil:
		f.read.SetToCurrentTime()
	}
	if changed {
		f.o.Changed()
	}
}

// Health says why the file cannot be read.
func (f *File) Health() error { return f.content.Health("the last content") }
