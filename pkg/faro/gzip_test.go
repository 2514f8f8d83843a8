package faro

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"collector/pkg/logs/logstest"
	"collector/pkg/pipeline"
)

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCompressedPayloadsHaveTheSameLimit(t *testing.T) {
	to := &logstest.Sink{}
	s := start(t, settings([]pipeline.LogsSink{to}, nil, func(c *Config) { c.Server.MaxAllowedPayloadSize = 1000 }))
	whole := gzipped(t, oneLog)
	for _, c := range []struct {
		name, body, encoding string
		status               int
	}{
		{"gzip", whole, "gzip", http.StatusAccepted},
		{"in capitals", whole, "GZIP", http.StatusAccepted},
		{"the largest", gzipped(t, oneLog+strings.Repeat(" ", 1000-len(oneLog))), "gzip", http.StatusAccepted},
		{"too large, decompressed", gzipped(t, oneLog+strings.Repeat(" ", 1001-len(oneLog))), "gzip", http.StatusRequestEntityTooLarge},
		{"cut off", whole[:len(whole)-4], "gzip", http.StatusBadRequest},
		{"not compressed", oneLog, "gzip", http.StatusBadRequest},
		{"empty", "", "gzip", http.StatusBadRequest},
		{"without the header", whole, "", http.StatusBadRequest},
	} {
		resp, text := s.post(t, c.body, "Content-Encoding", c.encoding)
		if resp.StatusCode != c.status {
			t.Errorf("%s: %s %q, want %d", c.name, resp.Status, text, c.status)
		}
	}
	s.counts(t, "refused_requests_total", reasonTooLarge, 1)
	s.counts(t, "refused_requests_total", reasonMalformed, 4)
	if got := labelsAndLines(to); len(got) != 3 || !strings.Contains(got[0], "message=m") {
		t.Errorf("got %q", got)
	}
}
