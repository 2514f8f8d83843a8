package imports

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"collector/pkg/component"
	"collector/pkg/filewatch"
	"collector/pkg/lastgood"
)

//go:embed import.file.md
var filePage string

func fileDefinition() component.Definition {
	return component.Define("import.file", NewFile, component.Doc{Page: filePage})
}

// maxModule bounds the text of one module.
const maxModule = 16 << 20

// FileConfig configures import.file.
type FileConfig struct {
	Filename      string             `alloy:"filename,attr"`
	Detector      filewatch.Detector `alloy:"detector,attr,optional"`
	PollFrequency time.Duration      `alloy:"poll_frequency,attr,optional"`
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

// File reads a module from a file, or from the *.alloy files of a folder.
type File struct {
	config FileConfig
	o      component.Options
	module *lastgood.Value[component.Module]
}

// NewFile makes an import.file. It reads the module, which has to exist.
func NewFile(c FileConfig, o component.Options) (*File, error) {
	f := &File{config: c, o: o.WithDefaults()}
	m, err := f.read()
	if err != nil {
		return nil, component.At("filename", err)
	}
	f.module = lastgood.New(m, func(a, b component.Module) bool { return reflect.DeepEqual(a, b) })
	return f, nil
}

// Module gives the module as it was last read.
func (f *File) Module() component.Module { return f.module.Get() }

func (f *File) read() (component.Module, error) {
	path := f.config.Filename
	info, err := os.Stat(path)
	if err != nil {
		return component.Module{}, err
	}
	m := component.Module{Key: path, Path: filepath.Dir(path)}
	if absolute, err := filepath.Abs(path); err == nil {
		m.Key = absolute
	}
	names := []string{path}
	if info.IsDir() {
		m.Path = path
		if names, err = filesIn(path); err != nil {
			return component.Module{}, err
		}
	}
	for _, name := range names {
		text, err := filewatch.Read(name, maxModule)
		if err != nil {
			return component.Module{}, err
		}
		m.Files = append(m.Files, component.ModuleFile{Name: name, Text: text})
	}
	return m, nil
}

// filesIn are the files of a module that is a folder, sorted by name.
func filesIn(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && filepath.Ext(e.Name()) == ".alloy" {
			names = append(names, filepath.Join(folder, e.Name()))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("folder %s has no file whose name ends in .alloy", folder)
	}
	return names, nil
}

// Run reads the module again whenever it may have changed, until ctx ends.
func (f *File) Run(ctx context.Context) error {
	o := filewatch.Options{Paths: []string{f.config.Filename}, Detector: f.config.Detector, Every: f.config.PollFrequency, Logger: f.o.Logger}
	f.o.Files.Watch(ctx, o, f.look)
	return nil
}

// look reads the module. One that cannot be read leaves the last one in force.
func (f *File) look() {
	m, err := f.read()
	changed, failed := f.module.Read(m, err)
	if failed {
		f.o.Logger.Warn("the module cannot be read; keeping the last one", "path", f.config.Filename, "err", err)
	}
	if changed {
		f.o.Changed()
	}
}

// Health says why the module cannot be read.
func (f *File) Health() error { return f.module.Health("the last module") }
