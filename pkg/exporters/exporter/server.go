package exporter

import (
	"fmt"
	"sync"
	"time"
)

// Server is what a component shows of the server that it scrapes.
type Server struct {
	kind string

	mu     sync.Mutex
	status ServerStatus // guarded by mu
}

// ServerStatus is a snapshot of a component that asks a server.
type ServerStatus struct {
	Address    string    `json:"address"`
	LastScrape time.Time `json:"lastScrape,omitzero"`
	Error      string    `json:"error,omitempty"` // of the last scrape
}

// NewServer makes one for a server of a kind, such as "Redis", which has not been
// asked yet.
func NewServer(kind, address string) *Server {
	return &Server{kind: kind, status: ServerStatus{Address: address}}
}

// Asked records that a scrape is over, and why it failed, or "".
func (s *Server) Asked(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.LastScrape, s.status.Error = time.Now(), why
}

// Status returns a snapshot for the debug UI.
func (s *Server) Status() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Health reports why the last scrape could not read the server.
func (s *Server) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.Error == "" {
		return nil
	}
	return fmt.Errorf("scrape %s at %s: %s", s.kind, s.status.Address, s.status.Error)
}
