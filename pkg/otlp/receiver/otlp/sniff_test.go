package otlp

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
)

// An HTTP client that is still sending when it is answered must not lose the
// answer to a reset.
func TestAnHTTPClientAtTheGRPCPortAlwaysReadsTheHint(t *testing.T) {
	var to otlptest.Sink
	sv := serve(t, otlptest.All(&to), nil)
	for range 20 {
		c, err := net.Dial("tcp", sv.grpc)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		var first [1]byte
		if _, err := io.ReadFull(c, first[:]); err != nil {
			t.Fatal(err)
		}
		for range 10 { // the body of a client that does not read yet
			if _, err := c.Write(bytes.Repeat([]byte{'x'}, 100_000)); err != nil {
				t.Fatalf("send the body: %v", err)
			}
		}
		rest, err := io.ReadAll(c)
		if err != nil || !strings.Contains(string(rest), "looks like OTLP/HTTP") {
			t.Fatalf("read %q: %v", rest, err)
		}
		c.Close()
	}
}

func TestEachKindOfWrongProtocolIsNamed(t *testing.T) {
	var to otlptest.Sink
	sv := serve(t, otlptest.All(&to), nil)
	if resp, err := http.Post("http://"+sv.grpc, "", nil); err != nil {
		t.Error(err)
	} else {
		resp.Body.Close()
	}
	if c, err := tls.Dial("tcp", sv.grpc, &tls.Config{InsecureSkipVerify: true}); err == nil {
		c.Close()
		t.Error("TLS at a plain port succeeded")
	} else if errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	for _, hint := range []string{"looks like OTLP/HTTP", "a client sent TLS"} {
		if !strings.Contains(sv.log.String(), hint) {
			t.Errorf("the log does not say %q: %s", hint, sv.log)
		}
	}
}

// sniffed is a connection to a sniffer, and its other end.
func sniffed(t *testing.T, protocol string) (*sniffedConn, net.Conn, *otlptest.Log) {
	t.Helper()
	log := &otlptest.Log{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	server, client := net.Pipe()
	t.Cleanup(func() { server.Close(); client.Close() })
	in := newIntake(flow.Output{}, newMetrics(prometheus.NewRegistry()), logger)
	return &sniffedConn{Conn: server, sniffer: &sniffer{protocol: protocol, intake: in, logger: logger}}, client, log
}

// A client's first bytes may arrive one by one.
func TestAWrongProtocolThatArrivesInPiecesIsNamed(t *testing.T) {
	for _, test := range []struct {
		protocol, start string
		pieces          int
		hint            string // "": the protocol is right
	}{
		{transportGRPC, "POST /v1/traces HTTP/1.1\r\n", 2, "looks like OTLP/HTTP"},
		{transportGRPC, "OPTIONS /v1/traces HTTP/1.1\r\n", 1, "looks like OTLP/HTTP"},
		{transportGRPC, "\x16\x03\x01\x00", 1, "a client sent TLS"},
		{transportHTTP, "\x16\x03\x01\x00", 1, "a client sent TLS"},
		{transportGRPC, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 1, ""},
		{transportHTTP, "POST /v1/traces HTTP/1.1\r\n", 1, ""},
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
func TestABeginningThatIsCutOffReachesTheServer(t *testing.T) {
	c, client, _ := sniffed(t, transportGRPC)
	go func() {
		client.Write([]byte("P"))
		client.Close()
	}()
	got, err := io.ReadAll(c)
	if string(got) != "P" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}
