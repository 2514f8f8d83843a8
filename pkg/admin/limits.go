package admin

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"collector/pkg/admin/ui/support"
	"collector/pkg/component"
	"collector/pkg/listen"
)

const (
	// readTime limits how long reading a request's body may take, and maxBody its
	// size: requests carry no data.
	readTime = 10 * time.Second
	maxBody  = 64 << 10
	// maxHeader limits a request's headers, which are buffered before any check.
	maxHeader = 32 << 10
	// writeTime limits how long a client may take to read a response, from its first
	// byte. Streams have a limit for each write instead.
	writeTime = 30 * time.Second
	// maxProfile and maxTrace are the longest profile and trace of the collector,
	// in seconds. A trace grows by some megabytes a second.
	maxProfile = 120
	maxTrace   = 10
)

// limits bounds connections and requests in progress: each request holds its
// response in memory until the client has read it.
type limits struct {
	// Connections from this machine, such as a health check, have their own.
	local, remote slots

	pages, files, metrics, components, reloads, profiles, snapshots, bundles slots
}

func newLimits() *limits {
	return &limits{
		local:   slots{total: 1024, each: 256, what: "connections"},
		remote:  slots{total: 1024, spare: 256, each: 256, what: "connections"},
		pages:   slots{total: 32, spare: 32, each: 12, what: "requests"},
		files:   slots{total: 32, spare: 32, each: 12, what: "requests for files"},
		metrics: slots{total: 16, spare: 16, each: 4, what: "scrapes"},
		// A Prometheus may scrape all exporters of a configuration at the same moment.
		components: slots{total: 128, spare: 32, each: 64, what: "requests to components"},
		reloads:    slots{total: 8, each: 4, what: "reloads"},
		// Profiles that take time, and support bundles, run one at a time. A
		// pyroscope.scrape asks for the others beside them, all at the same moment.
		profiles:  slots{total: 1, each: 1, what: "profiles"},
		snapshots: slots{total: 8, each: 8, what: "profiles"},
		bundles:   slots{total: 1, each: 1, what: "support bundles"},
	}
}

// of are the slots for a path; nil where a response takes no memory, and for
// streams, which the UI limits.
func (l *limits) of(path string) *slots {
	switch path {
	case readyPath, healthyPath, "/live/events", "/api/v1/live/events":
		return nil
	case metricsPath:
		return &l.metrics
	case reloadPath, promtailReloadPath, "/configuration/reload", "/api/v1/reload":
		return &l.reloads
	case support.Path:
		return &l.bundles
	}
	switch {
	case strings.HasPrefix(path, component.HandlersPath):
		return &l.components
	case path == pprofPath+"/profile", path == pprofPath+"/trace":
		return &l.profiles
	case strings.HasPrefix(path, pprofPath):
		return &l.snapshots
	case forAnybody(path):
		return &l.files
	}
	return &l.pages
}

// slots are places for requests. Each client has a share, so that no client waits for
// another that reads slowly, and some are kept for clients without a place.
type slots struct {
	total, spare, each int
	what               string

	mu   sync.Mutex
	used int            // guarded by mu
	by   map[string]int // guarded by mu; of clients with a place
}

// take occupies a place, which the caller frees by calling free.
func (s *slots) take(client string) (free func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := s.total
	if s.by[client] == 0 {
		total += s.spare
	}
	if s.used >= total || s.by[client] >= s.each {
		return nil, fmt.Errorf("too many %s in progress: %d (limit %d), %d of them from this address (limit %d); try again later",
			s.what, s.used, total, s.by[client], s.each)
	}
	if s.by == nil {
		s.by = map[string]int{}
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

// bound gives each request a place. It rejects profiles that are too long.
func (s *Server) bound(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seconds, err := secondsOf(r)
		if err != nil {
			s.refused.WithLabelValues(refusedTooLong).Inc()
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if places := s.limits.of(r.URL.Path); places != nil {
			free, err := places.take(listen.ClientOf(r.RemoteAddr))
			if err != nil {
				s.refused.WithLabelValues(refusedBusy).Inc()
				w.Header().Set("Retry-After", "5")
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			defer free()
		}
		if t, ok := w.(*timed); ok {
			t.limit += seconds
		}
		next.ServeHTTP(w, r)
	})
}

// secondsOf is the duration of the requested profile, or an error if it is too long.
func secondsOf(r *http.Request) (time.Duration, error) {
	if !strings.HasPrefix(r.URL.Path, pprofPath) {
		return 0, nil
	}
	seconds, err := strconv.ParseFloat(r.FormValue("seconds"), 64)
	if err != nil || seconds <= 0 {
		return maxProfile * time.Second, nil // the default, or wrong
	}
	limit, what := float64(maxProfile), "profile"
	if strings.HasSuffix(r.URL.Path, "/trace") {
		limit, what = maxTrace, "trace"
	}
	if !(seconds <= limit) {
		return 0, fmt.Errorf("a %s of %g seconds is too long: the limit is %g", what, seconds, limit)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// timely limits the time to send a request and to read its response.
func timely(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTime)) // not every server supports it
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		next.ServeHTTP(&timed{ResponseWriter: w, limit: writeTime}, r)
	})
}

// timed limits how long a client may take to read a response, from its first byte.
// A stream sets a deadline for each write after that.
type timed struct {
	http.ResponseWriter
	limit time.Duration
	begun bool
}

func (t *timed) begin() {
	if !t.begun {
		t.begun = true
		_ = http.NewResponseController(t.ResponseWriter).SetWriteDeadline(time.Now().Add(t.limit)) // not every server supports it
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

// bounded is a listener that gives each client a share of the connections and closes
// those beyond it.
type bounded struct {
	net.Listener
	server *Server
}

// Accept implements net.Listener.
func (l bounded) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		client := listen.ClientOf(conn.RemoteAddr().String())
		places := &l.server.limits.remote
		if from, ok := conn.RemoteAddr().(*net.TCPAddr); ok && from.IP.IsLoopback() {
			places = &l.server.limits.local
		}
		free, err := places.take(client)
		if err != nil {
			l.server.refused.WithLabelValues(refusedConnections).Inc()
			l.server.quiet.Warn(l.server.options.Logger, client, "connection to the HTTP server rejected", "client", conn.RemoteAddr().String(), "err", err)
			conn.Close()
			continue
		}
		return &place{Conn: conn, free: sync.OnceFunc(free)}, nil
	}
}

// place is a connection that frees its place when it is closed.
type place struct {
	net.Conn
	free func()
}

// Close implements net.Conn.
func (p *place) Close() error {
	p.free()
	return p.Conn.Close()
}
