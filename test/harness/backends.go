package harness

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Backend is a real server that runs as a child process.
type Backend struct {
	URL     string
	Process *Process
	start   func(t testing.TB) *Process
}

// Restart starts the backend again, after its Process has been killed, on the
// same address and data.
func (b *Backend) Restart(t testing.TB) {
	t.Helper()
	b.Process = b.start(t)
}

func startBackend(t testing.TB, tool string, args ...string) *Backend {
	t.Helper()
	path, address, data := Tool(t, tool), Address(FreePort(t)), t.TempDir()
	b := &Backend{URL: "http://" + address}
	b.start = func(t testing.TB) *Process {
		t.Helper()
		p := Start(t, tool, nil, path, append([]string{"-httpListenAddr=" + address, "-storageDataPath=" + data, "-loggerLevel=WARN"}, args...)...)
		Eventually(t, 30*time.Second, func() error { return get(b.URL+"/health", nil) })
		return p
	}
	b.Restart(t)
	return b
}

func get(url string, each func(line []byte) error) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return fmt.Errorf("%s: %s: %s", url, resp.Status, body)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 64<<20)
	for each != nil && lines.Scan() {
		if err := each(lines.Bytes()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// StartVictoriaMetrics starts a VictoriaMetrics of the test's own.
func StartVictoriaMetrics(t testing.TB) *VictoriaMetrics {
	t.Helper()
	return &VictoriaMetrics{startBackend(t, "victoria-metrics", "-retentionPeriod=1y", "-search.latencyOffset=0s")}
}

// VictoriaMetrics is a real VictoriaMetrics.
type VictoriaMetrics struct{ *Backend }

// WriteURL is where remote write goes.
func (v *VictoriaMetrics) WriteURL() string { return v.URL + "/api/v1/write" }

// Series is one stored series with its raw samples.
type Series struct {
	Metric     map[string]string `json:"metric"`
	Values     []float64         `json:"-"`
	RawValues  []any             `json:"values"` // numbers, or strings such as "Infinity"
	Timestamps []int64           `json:"timestamps"`
}

// Export returns the raw samples of all series that match selector.
func (v *VictoriaMetrics) Export(t testing.TB, selector string) []Series {
	t.Helper()
	// What was written a moment ago becomes visible by a flush.
	if err := get(v.URL+"/internal/force_flush", nil); err != nil {
		t.Fatal(err)
	}
	var out []Series
	err := get(v.URL+"/api/v1/export?match[]="+url.QueryEscape(selector), func(line []byte) error {
		var s Series
		if err := json.Unmarshal(line, &s); err != nil {
			return fmt.Errorf("%w in %s", err, line)
		}
		for _, raw := range s.RawValues {
			value, ok := raw.(float64)
			if !ok {
				continue // a stale marker comes as null
			}
			s.Values = append(s.Values, value)
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// StartVictoriaLogs starts a VictoriaLogs, which accepts Loki's push protocol.
func StartVictoriaLogs(t testing.TB) *VictoriaLogs {
	t.Helper()
	return &VictoriaLogs{startBackend(t, "victoria-logs", "-retentionPeriod=1y", "-insert.maxLineSizeBytes=8MB")}
}

// VictoriaLogs is a real VictoriaLogs.
type VictoriaLogs struct{ *Backend }

// PushURL is where Loki's push protocol goes.
func (v *VictoriaLogs) PushURL() string { return v.URL + "/insert/loki/api/v1/push" }

// LogEntry is one stored log line.
type LogEntry struct {
	Time   time.Time
	Line   string
	Fields map[string]string // its stream labels and structured metadata
}

// Query returns the entries that match a LogsQL filter, oldest first.
func (v *VictoriaLogs) Query(t testing.TB, filter string) []LogEntry {
	t.Helper()
	if err := get(v.URL+"/internal/force_flush", nil); err != nil {
		t.Fatal(err)
	}
	var out []LogEntry
	// Stable for equal times, as VictoriaLogs keeps the order of arrival.
	query := url.Values{"query": {filter + " | sort by (_time)"}, "limit": {"0"}}
	err := get(v.URL+"/select/logsql/query?"+query.Encode(), func(line []byte) error {
		fields := make(map[string]string)
		if err := json.Unmarshal(line, &fields); err != nil {
			return fmt.Errorf("%w in %s", err, line)
		}
		at, err := time.Parse(time.RFC3339Nano, fields["_time"])
		if err != nil {
			return err
		}
		entry := LogEntry{Time: at, Line: fields["_msg"], Fields: fields}
		for name := range fields {
			if strings.HasPrefix(name, "_") {
				delete(fields, name)
			}
		}
		out = append(out, entry)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
