package receive

import (
	"net"
	"net/http"
	"time"

	"collector-bench/control"
)

// Tallies is the receiver's answer to its questions.
type Tallies struct{ Samples, Lines, Profiles, Spans Tally }

// The questions. Both are answered by Tallies.
const (
	Read   = "/read"   // what has arrived so far
	Window = "/window" // the same; ages are counted from zero from then on
)

// Serve is the receiver's process. It has one address for HTTP, with the paths
// /api/v1/write, /loki/api/v1/push and /ingest, and one for gRPC. Unless acceptZstd, it
// answers remote write in zstd like a server that only knows snappy.
func Serve(acceptZstd bool) error {
	s := newServer(acceptZstd)
	traces := &spans{now: time.Now}
	overHTTP, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	overGRPC, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go s.httpServer().Serve(countingListener{overHTTP})
	go newGRPCServer(traces).Serve(countedListener{overGRPC, &traces.tally})
	all := func() Tallies {
		return Tallies{Samples: s.samples.read(), Lines: s.lines.read(), Profiles: s.profiles.read(), Spans: traces.read()}
	}
	questions := http.NewServeMux()
	questions.HandleFunc("POST "+Read, func(w http.ResponseWriter, _ *http.Request) { control.Answer(w, all()) })
	questions.HandleFunc("POST "+Window, func(w http.ResponseWriter, _ *http.Request) {
		now := all()
		for _, t := range []*tally{&s.samples, &s.lines, &s.profiles, &traces.tally} {
			t.window()
		}
		control.Answer(w, now)
	})
	return control.Serve(control.Hello{Addresses: []string{overHTTP.Addr().String(), overGRPC.Addr().String()}}, questions)
}

// httpServer serves each signal under the path that its clients know. The bytes
// of a connection count for the signal of its latest request.
func (s *server) httpServer() *http.Server {
	mux := http.NewServeMux()
	for pattern, signal := range map[string]struct {
		handler http.HandlerFunc
		into    *tally
	}{"POST /api/v1/write": {s.metrics, &s.samples}, "POST /loki/api/v1/push": {s.logs, &s.lines}, "POST /ingest": {s.ingest, &s.profiles}} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			signal.handler(w, r)
			if c, ok := r.Context().Value(connKey{}).(*countingConn); ok {
				signal.into.wire(int(c.read.Swap(0)))
			}
		})
	}
	return &http.Server{Handler: mux, ConnContext: withConn}
}
