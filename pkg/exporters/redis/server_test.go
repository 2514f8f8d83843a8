package redis

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/discovery"
	"collector/pkg/graph"
	"collector/pkg/pipeline"
)

// server speaks Redis's protocol, and keeps what it is sent.
type server struct {
	address string

	mu     sync.Mutex
	sent   []string                        // guarded by mu
	answer func(command string) (a string) // guarded by mu; empty: as a server without data does
}

func newServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveAt(t, l)
}

func serveAt(t *testing.T, l net.Listener) *server {
	t.Helper()
	s := &server{address: l.Addr().String()}
	var serving sync.WaitGroup
	t.Cleanup(func() { l.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.serve(conn) })
		}
	})
	return s
}

func (s *server) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		command, err := readCommand(r)
		if err != nil {
			return
		}
		answer := s.heard(command)
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

func (s *server) heard(command string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, command)
	if s.answer != nil {
		if answer := s.answer(command); answer != "" {
			return answer
		}
	}
	switch {
	case strings.HasPrefix(command, "INFO"):
		return bulk("# Server\r\nredis_version:7.0.0\r\nuptime_in_seconds:7\r\n")
	case strings.HasPrefix(command, "AUTH"), strings.HasPrefix(command, "SELECT"), strings.HasPrefix(command, "PING"):
		return "+OK\r\n"
	case strings.HasPrefix(command, "SCAN"):
		return "*2\r\n$1\r\n0\r\n*0\r\n"
	}
	return "-ERR unknown command\r\n"
}

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

// commands are those that have been sent since the last time.
func (s *server) commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := s.sent
	s.sent = nil
	return sent
}

func readCommand(r *bufio.Reader) (string, error) {
	n, err := readLength(r, '*')
	if err != nil {
		return "", err
	}
	var words []string
	for range n {
		length, err := readLength(r, '$')
		if err != nil {
			return "", err
		}
		word := make([]byte, length+2)
		if _, err := io.ReadFull(r, word); err != nil {
			return "", err
		}
		words = append(words, string(word[:length]))
	}
	return strings.Join(words, " "), nil
}

func readLength(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("%q does not begin with %c", line, kind)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

// exported makes the exporter of a configuration.
func exported(t testing.TB, settings string) *Redis {
	t.Helper()
	r, err := makeExporter(settings)
	if err != nil {
		t.Fatalf("%s: %v", settings, err)
	}
	return r
}

func makeExporter(settings string) (*Redis, error) {
	made, err := graph.Make(graph.Options{
		Definitions: []component.Definition{Definition()}, Kinds: slices.Concat(pipeline.Kinds(), discovery.Kinds()), Version: "v9",
	}, []config.Source{{Name: "x", Text: []byte("prometheus.exporter.redis \"x\" {\n" + settings + "\n}\n")}}, "prometheus.exporter.redis.x")
	if err != nil {
		return nil, err
	}
	return made.(*Redis), nil
}

// page is a scrape's status and the lines of the page.
func (r *Redis) page() (int, []string) {
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Code, strings.Split(w.Body.String(), "\n")
}

// has reports whether a line begins with text.
func has(page []string, text string) bool {
	return slices.ContainsFunc(page, func(line string) bool { return strings.HasPrefix(line, text) })
}
