//go:build integration

package write

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/listen/listentest"
	"collector/pkg/pipeline"
	"collector/test/harness"
)

// VictoriaLogs takes what this package sends as Loki does.
func TestVictoriaLogsStoresWhatIsSent(t *testing.T) {
	binary := harness.Tool(t, "victoria-logs")
	address := listentest.FreeAddress(t)
	server := exec.Command(binary, "-storageDataPath="+t.TempDir(), "-httpListenAddr="+address, "-retentionPeriod=100y")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})

	w := startWrite(t, writeConfig("http://"+address+"/insert/loki/api/v1/push"))
	now := time.Now().UTC()
	want := make(map[string]string)
	var entries []pipeline.Entry
	for i := range 1000 {
		e := pipeline.Entry{Time: now.Add(time.Duration(i)), Line: fmt.Sprintf("line %d ä\"\\\x00", i)}
		entries = append(entries, e)
		want[e.Time.Format(time.RFC3339Nano)] = e.Line
	}
	for i := 0; i < len(entries); i += 100 {
		mustWrite(t, w, stream(labels.FromStrings("container", "app", "quoted", "a \"b\" ä"), entries[i:i+100]...))
	}
	wantBalance(t, w, 1000, 1000)

	got := make(map[string]string)
	for deadline := time.Now().Add(3 * time.Minute); len(got) < 1000 && time.Now().Before(deadline); {
		<-time.After(100 * time.Millisecond)
		got = query(t, "http://"+address)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("stored entries (-want +got):\n%s", d)
	}
}

// query returns the lines by time.
func query(t *testing.T, base string) map[string]string {
	t.Helper()
	response, err := http.Get(base + "/select/logsql/query?limit=5000&query=" + url.QueryEscape(`{container="app",quoted="a \"b\" ä"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	out := make(map[string]string)
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		var row map[string]string
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if _, twice := out[row["_time"]]; twice {
			t.Errorf("two entries at %s", row["_time"])
		}
		if row["container"] != "app" || !strings.HasPrefix(row["_stream"], "{container=") {
			t.Errorf("row %v", row)
		}
		out[row["_time"]] = row["_msg"]
	}
	return out
}
