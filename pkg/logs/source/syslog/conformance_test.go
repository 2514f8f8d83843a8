package syslog_test

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/logs/process"
	"collector/pkg/logs/recordedtest"
	"collector/pkg/logs/relabel"
	"collector/pkg/logs/source/syslog"
	"collector/test/harness"
)

// Every recorded case of loki.source.syslog has the output that Alloy gave.
func TestMessagesBecomeAlloysEntries(t *testing.T) {
	for _, c := range recordedtest.Load(t, "loki.source.syslog") {
		t.Run(strings.TrimPrefix(c.Name, "loki.source.syslog/"), func(t *testing.T) {
			c.Run(t, []component.Definition{syslog.Definition(), relabel.Definition(), process.Definition()},
				send, "@PORT@", strconv.Itoa(harness.FreePort(t)))
		})
	}
}

// send sends a request as Alloy got it: by HTTP, with the first message in place of
// the method.
func send(t *testing.T, r recordedtest.Request) {
	t.Helper()
	host := strings.TrimSuffix(strings.TrimPrefix(r.URL, "http://"), "/")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "%s / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", r.Method, host, len(r.Body), r.Body); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second)) // nothing but the end is expected
	_, _ = io.ReadAll(conn)
}
