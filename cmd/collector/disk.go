package main

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"collector/pkg/config"
)

// diskEvery is how often the files are read, however many look.
const diskEvery = 2 * time.Second

// disk compares the files of the configuration with what runs.
type disk struct {
	path     string                 // "" for the built-in configuration
	original bool                   // the file is one that what runs was made of
	inForce  func() []config.Source // what runs

	mu    sync.Mutex // guards what follows
	at    time.Time  // when the files were read last
	files []config.Source
	err   error
}

// diff is how the files differ from what runs; nothing without files, or if reading
// would use them up.
func (d *disk) diff() ([]config.FileDiff, error) {
	running := d.inForce()
	if d.path == "" || len(running) == 0 {
		return nil, nil
	}
	found, err := d.compare(running, diskEvery)
	if len(found) > 0 || err != nil {
		// They may have been loaded since they were read.
		return d.compare(d.inForce(), 0)
	}
	return nil, nil
}

// compare compares files that were read no longer than age ago with what runs.
func (d *disk) compare(running []config.Source, age time.Duration) ([]config.FileDiff, error) {
	files, err := d.peek(age)
	switch {
	case errors.Is(err, config.ErrNotRegular):
		return nil, nil
	case errors.Is(err, fs.ErrNotExist) && d.path == os.Getenv(defaultConfigVariable):
		if running[0].Name == builtinName {
			return nil, nil
		}
		return config.Diff(running, nil), nil // a reload would run the built-in one
	case err != nil:
		return nil, err
	}
	if d.original {
		running = slices.DeleteFunc(slices.Clone(running), func(s config.Source) bool { return !s.Original })
		files = slices.Clone(files)
		for i := range files {
			files[i].Original = true
		}
	}
	return config.Diff(running, files), nil
}

func (d *disk) peek(age time.Duration) ([]config.Source, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.at) >= age {
		d.files, d.err = config.Peek(d.path)
		d.at = time.Now()
	}
	return d.files, d.err
}
