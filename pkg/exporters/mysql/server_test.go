package mysql

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"collector/pkg/exporters/exporter/exportertest"
)

// server speaks as much of MySQL's protocol as the library does.
type server struct {
	address string

	mu      sync.Mutex
	tables  map[string][][]string // rows by a part of the query, the first one has the columns; guarded by mu, as all below
	queries []string
}

func newServer(t *testing.T, tables map[string][][]string) *server {
	t.Helper()
	s := &server{tables: tables}
	s.address = exportertest.Serve(t, s.serve)
	return s
}

// settings make an exporter of the server.
func (s *server) settings() string {
	return "data_source_name = \"me:hunter2@tcp(" + s.address + ")/shop?interpolateParams=true\"\n"
}

func (s *server) serve(conn net.Conn) {
	salt := "01234567890123456789"
	hello := append([]byte{10}, "10.11.6-MariaDB\x00\x01\x00\x00\x00"+salt[:8]+"\x00"...)
	hello = append(hello, 0x09, 0xa2, 45, 2, 0, 0x08, 0, 21) // capabilities, charset, status
	hello = append(hello, make([]byte, 10)...)
	hello = append(hello, salt[8:]+"\x00mysql_native_password\x00"...)
	if write(conn, 0, hello) != nil {
		return
	}
	if _, err := read(conn); err != nil || write(conn, 2, okay()) != nil {
		return
	}
	for {
		command, err := read(conn)
		if err != nil || len(command) == 0 || command[0] == 1 {
			return
		}
		if command[0] == 3 {
			err = s.answer(conn, string(command[1:]))
		} else {
			err = write(conn, 1, okay())
		}
		if err != nil {
			return
		}
	}
}

func (s *server) answer(conn net.Conn, query string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries = append(s.queries, query)
	if strings.HasPrefix(query, "SET ") {
		return write(conn, 1, okay())
	}
	rows := [][]string{{"nothing"}}
	for part, found := range s.tables {
		if strings.Contains(query, part) {
			rows = found
		}
	}
	end := []byte{0xfe, 0, 0, 2, 0}
	packets := [][]byte{{byte(len(rows[0]))}}
	for _, name := range rows[0] {
		column := text(nil, "def", "", "", "", name, "")
		packets = append(packets, append(column, 12, 45, 0, 255, 0, 0, 0, 0xfd, 0, 0, 0, 0, 0))
	}
	packets = append(packets, end)
	for _, row := range rows[1:] {
		packets = append(packets, text(nil, row...))
	}
	for i, packet := range append(packets, end) {
		if err := write(conn, byte(i+1), packet); err != nil {
			return err
		}
	}
	return nil
}

// asked reports whether a query with these words was sent since the last time.
func (s *server) asked(words string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := strings.Contains(strings.Join(s.queries, "\n"), words)
	s.queries = nil
	return found
}

func okay() []byte { return []byte{0, 0, 0, 2, 0, 0, 0} }

// text appends strings with their lengths, below 251.
func text(to []byte, values ...string) []byte {
	for _, v := range values {
		to = append(append(to, byte(len(v))), v...)
	}
	return to
}

func write(conn net.Conn, number byte, body []byte) error {
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(body))|uint32(number)<<24)
	_, err := conn.Write(append(head, body...))
	return err
}

func read(conn net.Conn) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.LittleEndian.Uint32(head[:])&0xffffff)
	_, err := io.ReadFull(conn, body)
	return body, err
}
