// Package filewatch says when a file or a folder may have changed, by the kernel's
// events, by polling, or both.
package filewatch

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"
)

// Detector is how a change is noticed.
type Detector string

// The detectors. Notify polls too, in case the file system has no events.
const (
	Notify Detector = "fsnotify"
	Poll   Detector = "poll"
)

// UnmarshalText reads the name of a detector; an empty one is Notify.
func (d *Detector) UnmarshalText(text []byte) error {
	switch name := Detector(text); name {
	case Notify, Poll:
		*d = name
	case "":
		*d = Notify
	default:
		return fmt.Errorf("detector %q is unknown: use \"fsnotify\" or \"poll\"", text)
	}
	return nil
}

// MarshalText writes the name.
func (d Detector) MarshalText() ([]byte, error) { return []byte(d), nil }

// Options is what Watch looks at, and how.
type Options struct {
	// Paths are paths of files and folders, or patterns of the last element of such
	// paths.
	Paths    []string
	Detector Detector
	Every    time.Duration // between two polls
	Logger   *slog.Logger
	// Failed is called when events are not available or are missing; it may be nil.
	Failed func()
}

func (o Options) failed() {
	if o.Failed != nil {
		o.Failed()
	}
}

// quiet is how long Watch waits after an event: who writes a file makes several.
const quiet = 30 * time.Millisecond

// Watch calls look now and whenever what is at the paths may have changed, until
// ctx ends. A path need not exist, and may be replaced by rename or through
// symbolic links.
func (p *Pool) Watch(ctx context.Context, o Options, look func()) {
	w := newWatch()
	if o.Detector == Notify {
		defer p.leave(w)
	}
	failing := false
	follow := func() {
		if o.Detector != Notify {
			return
		}
		err := p.follow(w, o.Paths)
		if err != nil && !failing {
			o.failed()
			o.Logger.Warn("file system events are not available; files are polled", "paths", o.Paths, "err", err)
		}
		failing = err != nil
	}
	poll := time.NewTicker(o.Every)
	defer poll.Stop()
	var settled <-chan time.Time
	follow()
	look()
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
			follow()
			look()
		case <-w.missed:
			o.failed()
			look()
		case <-w.changed:
			if settled == nil {
				settled = time.After(quiet)
			}
		case <-settled:
			settled = nil
			follow()
			look()
		}
	}
}

// Read reads a file of at most limit bytes. It waits for no pipe.
func Read(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0 {
		return nil, fmt.Errorf("read %s: it is a pipe or a socket, and a regular file is needed", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("read %s: it is larger than %d MiB", path, limit>>20)
	}
	return text, nil
}
