package otlp

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

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
