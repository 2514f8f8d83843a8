package server

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
)

// sniffed is a connection to a sniffer, and its other end.
func sniffed(t *testing.T, protocol string) (*sniffedConn, net.Conn, *otlptest.Log) {
	t.Helper()
	log := &otlptest.Log{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	server, client := net.Pipe()
	t.Cleanup(func() { server.Close(); client.Close() })
	in := NewIntake(Accepts{}, flow.Output{}, component.Options{Metrics: prometheus.NewRegistry(), Logger: logger})
	return &sniffedConn{Conn: server, sniffer: &sniffer{protocol: protocol, httpHint: "looks like HTTP", intake: in, logger: logger}}, client, log
}

// A client's first bytes may arrive one by one.
func TestAWrongProtocolThatArrivesInPiecesIsNamed(t *testing.T) {
	for _, test := range []struct {
		protocol, start string
		pieces          int
		hint            string // "": the protocol is right
	}{
		{TransportGRPC, "POST /v1/traces HTTP/1.1\r\n", 2, "looks like HTTP"},
		{TransportGRPC, "OPTIONS /v1/traces HTTP/1.1\r\n", 1, "looks like HTTP"},
		{TransportGRPC, "\x16\x03\x01\x00", 1, "a client sent TLS"},
		{TransportHTTP, "\x16\x03\x01\x00", 1, "a client sent TLS"},
		{TransportGRPC, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 1, ""},
		{TransportHTTP, "POST /v1/traces HTTP/1.1\r\n", 1, ""},
	} {
		c, client, log := sniffed(t, test.protocol)
		go func() {
			for b := range slices.Chunk([]byte(test.start), test.pieces) {
				if _, err := client.Write(b); err != nil {
					return
				}
			}
		}()
		go io.Copy(io.Discard, client)
		got := make([]byte, 4096)
		n, err := c.Read(got)
		if refused := errors.Is(err, errOtherProtocol); refused != (test.hint != "") || !strings.Contains(log.String(), test.hint) {
			t.Errorf("%s, %q: read %q, %v; logged %s", test.protocol, test.start, got[:n], err, log)
		}
		if test.hint == "" && !strings.HasPrefix(test.start, string(got[:n])) {
			t.Errorf("%s, %q: the server reads %q", test.protocol, test.start, got[:n])
		}
		client.Close()
	}
}

// A connection that is cut off before its protocol is known goes to the server.
func TestATruncatedBeginningReachesTheServer(t *testing.T) {
	c, client, _ := sniffed(t, TransportGRPC)
	go func() {
		client.Write([]byte("P"))
		client.Close()
	}()
	got, err := io.ReadAll(c)
	if string(got) != "P" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}
