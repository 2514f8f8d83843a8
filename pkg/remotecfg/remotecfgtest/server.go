// Package remotecfgtest is a server of configurations that accepts only what is exactly
// right, and records it.
package remotecfgtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"connectrpc.com/connect"
	collectorv1 "github.com/grafana/alloy-remote-config/api/gen/proto/go/collector/v1"
	"github.com/grafana/alloy-remote-config/api/gen/proto/go/collector/v1/collectorv1connect"
)

// Server speaks the protocol with the module's own server types. It is safe for
// concurrent use; the zero value serves an empty configuration.
type Server struct {
	// Secret, if set, is the Authorization header that requests must have.
	Secret string

	mu         sync.Mutex
	text       string // guarded by mu, as all below
	fault      func(*http.Request) int
	registered map[string]*collectorv1.RegisterCollectorRequest
	polls      []*collectorv1.GetConfigRequest
	unlisted   int
	problems   []string
}

// Serve makes text the configuration.
func (s *Server) Serve(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = text
}

// Fault sets what decides on an answer in place of the true one: a status of HTTP, 0
// for none, or Hang. nil ends it.
func (s *Server) Fault(fault func(*http.Request) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// Hang is a fault: no answer at all.
const Hang = -1

// Registered is the request by which a collector has registered; nil without one.
func (s *Server) Registered(id string) *collectorv1.RegisterCollectorRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registered[id]
}

// Polls are the requests for the configuration that were answered, since the last
// call.
func (s *Server) Polls() []*collectorv1.GetConfigRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	polls := s.polls
	s.polls = nil
	return polls
}

// Forget forgets all collectors.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registered = nil
}

// Unregistered counts the collectors that have left.
func (s *Server) Unregistered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unlisted
}

// Problems are what the server could not accept.
func (s *Server) Problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.problems)
}

// Hash is the server's hash of a configuration.
func Hash(text string) string {
	return fmt.Sprintf("server's hash of %d bytes: %.20q", len(text), text)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	if fault != nil {
		switch status := fault(r); status {
		case 0:
		case Hang:
			<-r.Context().Done()
			return
		default:
			http.Error(w, http.StatusText(status), status)
			return
		}
	}
	if s.Secret != "" && r.Header.Get("Authorization") != s.Secret {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	_, h := collectorv1connect.NewCollectorServiceHandler(service{s}, connect.WithReadMaxBytes(32<<20))
	h.ServeHTTP(w, r)
}

func (s *Server) problem(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	s.problems = append(s.problems, err.Error())
	return connect.NewError(connect.CodeInvalidArgument, err)
}

// service answers the calls.
type service struct{ *Server }

func (s service) RegisterCollector(_ context.Context, r *connect.Request[collectorv1.RegisterCollectorRequest]) (*connect.Response[collectorv1.RegisterCollectorResponse], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Msg.Id == "" || r.Msg.LocalAttributes["collector.os"] == "" || r.Msg.LocalAttributes["collector.version"] == "" || len(r.Msg.Attributes) > 0 {
		return nil, s.problem("registration %v", r.Msg)
	}
	if s.registered == nil {
		s.registered = map[string]*collectorv1.RegisterCollectorRequest{}
	}
	s.registered[r.Msg.Id] = r.Msg
	return connect.NewResponse(&collectorv1.RegisterCollectorResponse{}), nil
}

func (s service) UnregisterCollector(context.Context, *connect.Request[collectorv1.UnregisterCollectorRequest]) (*connect.Response[collectorv1.UnregisterCollectorResponse], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlisted++
	return connect.NewResponse(&collectorv1.UnregisterCollectorResponse{}), nil
}

func (s service) GetConfig(_ context.Context, r *connect.Request[collectorv1.GetConfigRequest]) (*connect.Response[collectorv1.GetConfigResponse], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.registered[r.Msg.Id] == nil {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("this collector is not registered"))
	}
	//lint:ignore SA1019 no client may send it
	if old := r.Msg.Attributes; len(old) > 0 {
		return nil, s.problem("deprecated attributes %v", old)
	}
	if c := r.Msg.EffectiveConfig; c != nil && (len(c.ConfigMap.GetConfigMap()) != 1 || c.ConfigMap.ConfigMap[""] == nil) {
		return nil, s.problem("effective configuration %v", c)
	}
	s.polls = append(s.polls, r.Msg)
	hash := Hash(s.text)
	if r.Msg.Hash == hash {
		return connect.NewResponse(&collectorv1.GetConfigResponse{Hash: hash, NotModified: true}), nil
	}
	return connect.NewResponse(&collectorv1.GetConfigResponse{Hash: hash, Content: s.text}), nil
}
