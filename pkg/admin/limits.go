package admin

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"collector/pkg/admin/ui"
)

const (
	// readTime bounds how long the body of a request may take, and maxBody how
	// large it may be: no request has anything to say but its path.
	readTime = 10 * time.Second
	maxBody  = 64 << 10
	// writeTime bounds how long a client may take to read an answer, from when it
	// begins. Streams have a bound for each write instead.
	writeTime = 30 * time.Second
	// maxProfile and maxTrace are the longest profile and trace of the collector,
	// in seconds. A trace grows by some megabytes in each.
	maxProfile = 120
	maxTrace   = 10
)

// limits bounds the requests that are under way: each holds its answer in memory
// until the client has read it.
type limits struct {
	pages, metrics, profiles, bundles slots
}

func newLimits() *limits {
	return &limits{
		pages:   slots{total: 64, each: 16, what: "requests"},
		metrics: slots{total: 16, each: 4, what: "scrapes"},
		// The two that take most are made one at a time.
		profiles: slots{total: 1, each: 1, what: "profiles"},
		bundles:  slots{total: 1, each: 1, what: "support bundles"},
	}
}

// of are the slots for what is at path; nil where an answer takes no memory, and
// for streams, of which the UI bounds the number.
func (l *limits) of(path string) *slots {
	switch {
	case path == metricsPath:
		return &l.metrics
	case strings.HasPrefix(path, pprofPath):
		return &l.profiles
	case path == ui.SupportPath:
		return &l.bundles
	case forAnybody(path) || strings.HasSuffix(path, "/events"):
		return nil
	}
	return &l.pages
}

// slots are places for requests. Each client has a share, so that no other waits
// for one that reads slowly.
type slots struct {
	total, each int
	what        string

	mu   sync.Mutex
	used int                  // guarded by mu
	by   map[netip.Prefix]int // guarded by mu; of clients with a place
}

// take takes a place, which the caller gives back by calling free.
func (s *slots) take(client netip.Prefix) (free func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used >= s.total || s.by[client] >= s.each {
		return nil, fmt.Errorf("too many %s are under way: %d, and %d of this client; at most %d and %d may be: try again later",
			s.what, s.used, s.by[client], s.total, s.each)
	}
	if s.by == nil {
		s.by = map[netip.Prefix]int{}
	}
	s.used++
	s.by[client]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.used--
		if s.by[client]--; s.by[client] == 0 {
			delete(s.by, client)
		}
	}, nil
}

// clientOf is the address that a request comes from; of IPv6 the network, of which
// one client has all addresses.
func clientOf(r *http.Request) netip.Prefix {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	address := from.Addr().Unmap().WithZone("")
	bits := 32
	if address.Is6() {
		bits = 64
	}
	network, _ := address.Prefix(bits) // the bits are right
	return network
}

// bound gives each request a place, and its client a time to send and to read it.
func (l *limits) bound(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seconds, err := secondsOf(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if places := l.of(r.URL.Path); places != nil {
			free, err := places.take(clientOf(r))
			if err != nil {
				w.Header().Set("Retry-After", "5")
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			defer free()
		}
		next.ServeHTTP(&timed{ResponseWriter: w, limit: seconds + writeTime}, r)
	})
}

// secondsOf is how long a profile takes that is asked for, or an error if that is
// too long.
func secondsOf(r *http.Request) (time.Duration, error) {
	if !strings.HasPrefix(r.URL.Path, pprofPath) {
		return 0, nil
	}
	seconds, err := strconv.ParseFloat(r.FormValue("seconds"), 64)
	if err != nil {
		return maxProfile * time.Second, nil // what is asked for is the default, or wrong
	}
	limit, what := float64(maxProfile), "profile"
	if strings.HasSuffix(r.URL.Path, "/trace") {
		limit, what = maxTrace, "trace"
	}
	if !(seconds <= limit) {
		return 0, fmt.Errorf("a %s of %g seconds is too long: at most %g are allowed, as it is kept in memory", what, seconds, limit)
	}
	return time.Duration(max(seconds, 0) * float64(time.Second)), nil
}

// bodies bounds what a client sends behind the headers.
func bodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			// Where a deadline cannot be set, nothing is lost but this.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTime))
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		next.ServeHTTP(w, r)
	})
}

// timed bounds the time that an answer may take from when it begins. Who writes a
// stream sets a deadline for each write after that.
type timed struct {
	http.ResponseWriter
	limit time.Duration
	begun bool
}

func (t *timed) begin() {
	if !t.begun {
		t.begun = true
		_ = http.NewResponseController(t.ResponseWriter).SetWriteDeadline(time.Now().Add(t.limit)) // not every server has one
	}
}

func (t *timed) WriteHeader(status int) {
	t.begin()
	t.ResponseWriter.WriteHeader(status)
}

func (t *timed) Write(b []byte) (int, error) {
	t.begin()
	return t.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (t *timed) Unwrap() http.ResponseWriter { return t.ResponseWriter }
