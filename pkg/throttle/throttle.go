// Package throttle keeps a log readable while something fails repeatedly.
package throttle

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// Every is the shortest time between two messages about one thing.
	Every = time.Minute
	// maxKeys is how many things are named in that time. They may be made up by
	// others, such as clients and containers.
	maxKeys = 100
)

// Log writes a message about one thing at most once in a while, however often it is
// called, and then says how many it suppressed. Messages about one thing (a target, a
// destination, a container, a reason) do not suppress those about another: the first 100
// are each named, and of more than that one a minute. The zero value is ready for use.
type Log struct {
	mu   sync.Mutex
	keys map[string]*silence // guarded by mu
	rest silence             // of things for which keys has no room; guarded by mu
}

type silence struct {
	since      time.Time
	suppressed int
}

// Warn logs a warning about key.
func (l *Log) Warn(log *slog.Logger, key, message string, args ...any) {
	l.Log(log, slog.LevelWarn, key, message, args...)
}

// Log logs a message about key.
func (l *Log) Log(log *slog.Logger, level slog.Level, key, message string, args ...any) {
	suppressed, ok := l.pass(message+"\x00"+key, time.Now())
	if !ok {
		return
	}
	if suppressed > 0 {
		args = append(args, "suppressed", suppressed)
	}
	log.Log(context.Background(), level, message, args...)
}

// Forget lets the next message about anything pass.
func (l *Log) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys, l.rest = nil, silence{}
}

func (l *Log) pass(key string, now time.Time) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.keys[key]
	if s == nil {
		s = l.add(key, now)
	}
	if !s.over(now) {
		s.suppressed++
		return 0, false
	}
	suppressed = s.suppressed
	*s = silence{since: now}
	return suppressed, true
}

// add makes room for key, or reports that it belongs to the rest.
func (l *Log) add(key string, now time.Time) *silence {
	if len(l.keys) >= maxKeys {
		for k, s := range l.keys {
			if s.over(now) {
				delete(l.keys, k)
			}
		}
	}
	if len(l.keys) >= maxKeys {
		return &l.rest
	}
	if l.keys == nil {
		l.keys = make(map[string]*silence)
	}
	s := &silence{}
	l.keys[key] = s
	return s
}

func (s *silence) over(now time.Time) bool { return s.since.IsZero() || now.Sub(s.since) >= Every }
