//go:build integration

package reliability

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"collector/test/harness"
)

// TestViewersAndSlowReadersCostSendersNothing gives the collector 256 MiB, as many
// live viewers as may watch, requests of 20,000 empty spans, and 800
// connections of 16 clients that ask for what takes memory and read nothing. Every
// good request is taken, and every scrape answered.
func TestViewersAndSlowReadersCostSendersNothing(t *testing.T) {
	port := harness.FreePort(t)
	c := harness.NewCollector(t, fmt.Sprintf(`
		otelcol.receiver.otlp "x" {
			http { endpoint = "127.0.0.1:%d" }
			output { traces = [explore.sink.x.input] }
		}
		explore.sink "x" { }
	`, port))
	group := c.LimitMemory(t, 256<<20)
	c.Start(t, "--explore.memory=8MiB")
	address := strings.TrimPrefix(c.URL, "http://")
	for range 20 {
		resp, err := http.Get(c.URL + "/api/v1/live/events")
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		go io.Copy(io.Discard, resp.Body)
	}
	paths := []string{"/-/support", "/metrics", "/", "/configuration", "/api/v1/components?per_page=10000", "/assets/style.css", "/debug/pprof/goroutine?debug=2", "/nothing/events"}
	for i := range 800 {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%16))}}
		conn, err := dialer.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		// As many as a connection takes: one answer may fit the buffers of the kernel.
		request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nAccept-Encoding: gzip\r\n\r\n", paths[i%len(paths)], address)
		if _, err := io.WriteString(conn, strings.Repeat(request, 200)); err != nil {
			t.Fatal(err)
		}
	}
	empty := func(field protowire.Number, content []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), content)
	}
	const spans, requests = 20_000, 200
	request := empty(1, empty(2, bytes.Repeat(empty(2, nil), spans)))
	for range requests {
		resp, err := http.Post("http://"+harness.Address(port)+"/v1/traces", "application/x-protobuf", bytes.NewReader(request))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", resp.Status, text)
		}
	}
	if resp, err := http.Get(c.URL + "/debug/pprof/trace?seconds=3600"); err != nil || resp.StatusCode == http.StatusOK {
		t.Errorf("a trace of an hour: %v %v", resp, err)
	} else {
		resp.Body.Close()
	}
	if n := c.Metric(t, "otelcol_receiver_accepted_spans_total"); n != spans*requests {
		t.Errorf("%v spans were accepted, of %d", n, spans*requests)
	}
	if kills := group.Kills(t); kills > 0 {
		t.Errorf("the kernel has killed %d processes", kills)
	}
	harness.Eventually(t, 30*time.Second, func() error { // once a slow reader was cut off
		resp, err := http.Get(c.URL + "/-/support")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", resp.Status)
		}
		return err
	})
	c.Stop(t)
}
