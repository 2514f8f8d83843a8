package postgres

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"collector/pkg/exporters/exporter/exportertest"
)

// table is the answer to a query.
type table struct {
	columns []string
	rows    [][]string
}

// server speaks as much of PostgreSQL's protocol as the library does.
type server struct {
	address string

	mu        sync.Mutex
	tables    map[string]table // by a part of the query; guarded by mu, as all below
	queries   []string
	databases map[string]bool // that were connected to
}

func newServer(t *testing.T, tables map[string]table) *server {
	t.Helper()
	s := &server{tables: tables, databases: map[string]bool{}}
	s.address = exportertest.Serve(t, s.serve)
	return s
}

// source is a URL of the database shop.
func (s *server) source() string {
	return "postgres://me:hunter2@" + s.address + "/shop?sslmode=disable"
}

func (s *server) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	startup, err := read(in)
	if err != nil {
		return
	}
	words := strings.Split(string(startup[4:]), "\x00")
	s.mu.Lock()
	for i := 0; i+1 < len(words); i += 2 {
		if words[i] == "database" {
			s.databases[words[i+1]] = true
		}
	}
	s.mu.Unlock()
	out := message('R', make([]byte, 4))
	out = append(out, message('Z', []byte("I"))...)
	query := ""
	for {
		if _, err := conn.Write(out); err != nil {
			return
		}
		kind, err := in.ReadByte()
		if err != nil {
			return
		}
		body, err := read(in)
		if err != nil {
			return
		}
		switch out = nil; kind {
		case 'Q':
			query = strings.TrimRight(string(body), "\x00")
			out = append(s.rows(query, true), message('Z', []byte("I"))...)
		case 'P':
			query = strings.Split(string(body), "\x00")[1]
			out = message('1', nil)
		case 'D':
			out = append(message('t', []byte{0, 1, 0, 0, 0, 25}), s.heading(query)...)
		case 'B':
			out = message('2', nil)
		case 'E':
			out = s.rows(query, false)
		case 'S':
			out = message('Z', []byte("I"))
		case 'X':
			return
		}
	}
}

func (s *server) find(query string) table {
	for part, found := range s.tables {
		if strings.Contains(query, part) {
			return found
		}
	}
	return table{columns: []string{"nothing"}}
}

func (s *server) heading(query string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	columns := s.find(query).columns
	body := binary.BigEndian.AppendUint16(nil, uint16(len(columns)))
	for _, name := range columns {
		body = append(append(body, name...), 0)
		body = append(body, 0, 0, 0, 0, 0, 0)      // table and column
		body = append(body, 0, 0, 0, 25, 255, 255) // text
		body = append(body, 0, 0, 0, 0, 0, 0)
	}
	return message('T', body)
}

func (s *server) rows(query string, heading bool) []byte {
	var out []byte
	if heading {
		out = s.heading(query)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries = append(s.queries, query)
	for _, row := range s.find(query).rows {
		body := binary.BigEndian.AppendUint16(nil, uint16(len(row)))
		for _, value := range row {
			body = append(binary.BigEndian.AppendUint32(body, uint32(len(value))), value...)
		}
		out = append(out, message('D', body)...)
	}
	return append(out, message('C', []byte("SELECT\x00"))...)
}

// asked reports whether a query with these words was sent since the last time, and
// to which databases there were connections.
func (s *server) asked(words string) (found bool, databases map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found = strings.Contains(strings.Join(s.queries, "\n"), words)
	databases, s.databases, s.queries = s.databases, map[string]bool{}, nil
	return found, databases
}

func message(kind byte, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)), body...)
}

func read(in *bufio.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(in, length[:]); err != nil {
		return nil, err
	}
	var body bytes.Buffer
	_, err := io.CopyN(&body, in, int64(binary.BigEndian.Uint32(length[:]))-4)
	return body.Bytes(), err
}
