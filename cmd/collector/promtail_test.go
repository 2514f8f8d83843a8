package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"collector/pkg/config"
	"collector/pkg/logs/lokitest"
	"collector/pkg/logs/source/journal/journaltest"
	"collector/pkg/promtail"
)

// promtailDir is a folder with a Promtail file, a log and positions.
func promtailDir(t *testing.T, loki string) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "promtail.yaml")
	text := fmt.Sprintf(`server: {http_listen_address: 127.0.0.1, http_listen_port: 0, enable_runtime_reload: true}
positions: {filename: %[1]s/positions.yaml}
clients:
- url: %[2]s
  batchwait: 50ms
  basic_auth: {username: me, password: hunter2}
scrape_configs:
- job_name: app
  static_configs:
  - targets: [localhost]
    labels: {job: app, __path__: "%[1]s/*.log"}
  pipeline_stages:
  - regex: {expression: '^(?P<level>\w+) '}
  - labels: {level: }
  - metrics:
      lines_total: {type: Counter, description: lines, config: {match_all: true, action: inc}}
`, dir, loki)
	for name, text := range map[string]string{
		file:                                  text,
		filepath.Join(dir, "a.log"):           "info one\ninfo two\nwarn three\n",
		filepath.Join(dir, "b.log"):           "info b\n",
		filepath.Join(dir, "positions.yaml"):  fmt.Sprintf("positions:\n  %s/a.log: \"18\"\n  cursor-journal: s=1;i=2\n", dir),
		filepath.Join(dir, "unrelated.alloy"): "loki.write \"x\" { }\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, file
}

// asPromtailsImage runs the program as Promtail's image does.
func asPromtailsImage(t *testing.T, args ...string) (*program, string) {
	t.Helper()
	flags, err := promtail.ParseFlags(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	own, _, err := (&promtailFile{path: flags.File, options: flags.Options}).runFlags()
	if err != nil {
		t.Fatal(err)
	}
	return startProgram(t, own, flags.File)
}

func linesOf(entries []lokitest.Entry) (lines []string) {
	for _, e := range entries {
		lines = append(lines, e.Line)
	}
	slices.Sort(lines)
	return lines
}

// Promtail's positions are continued to the byte, and not written; what is kept is
// beside them.
func TestAPromtailFileContinuesWherePromtailStopped(t *testing.T) {
	loki := lokitest.New(t)
	dir, file := promtailDir(t, loki.URL())
	before, err := os.ReadFile(filepath.Join(dir, "positions.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	t.Run("first", func(t *testing.T) {
		asPromtailsImage(t, "-config.file="+file)
		if got := linesOf(loki.AwaitEntries(ctx, 2)); !slices.Equal(got, []string{"info b", "warn three"}) {
			t.Errorf("sent are %q", got)
		}
	})
	f, err := os.OpenFile(filepath.Join(dir, "a.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("info four\n"); err != nil {
		t.Fatal(err)
	}
	t.Run("second", func(t *testing.T) {
		asPromtailsImage(t, "-config.file="+file)
		if got := linesOf(loki.AwaitEntries(ctx, 3)); !slices.Equal(got, []string{"info b", "info four", "warn three"}) {
			t.Errorf("sent are %q", got)
		}
	})
	after, err := os.ReadFile(filepath.Join(dir, "positions.yaml"))
	if err != nil || string(after) != string(before) {
		t.Errorf("Promtail's positions are now %q: %v", after, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "positions.yaml.collector", "loki.source.file.app")); err != nil {
		t.Error(err)
	}
}

// A journal is continued after the entry whose cursor Promtail has stored under the name
// of the job.
func TestAPromtailFileContinuesAJournal(t *testing.T) {
	loki, dir := lokitest.New(t), t.TempDir()
	w := journaltest.NewWriter(journaltest.Options{FileID: 1, MachineID: 2, BootID: 3, SeqnumID: 4})
	now := uint64(time.Now().Add(-time.Minute).UnixMicro())
	for i, message := range []string{"a", "b", "c", "d"} {
		w.Append(now+uint64(i), now-1e15, "MESSAGE="+message, "_SYSTEMD_UNIT=app.service")
	}
	cursor := fmt.Sprintf("s=%s;i=2;b=%s;m=%x;t=%x;x=%x", strings.Repeat("04", 16), strings.Repeat("03", 16), now-1e15, now+1, (now+1)^2)
	file := filepath.Join(dir, "promtail.yaml")
	text := fmt.Sprintf(`server: {http_listen_address: 127.0.0.1, http_listen_port: 0}
positions: {filename: %[1]s/positions.yaml}
clients: [{url: "%[2]s", batchwait: 50ms}]
scrape_configs:
- job_name: sys log
  journal: {path: "%[1]s/journal", labels: {job: journal}}
  relabel_configs: [{source_labels: [__journal__systemd_unit], target_label: unit}]
`, dir, loki.URL())
	if err := os.MkdirAll(filepath.Join(dir, "journal"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(filepath.Join(dir, "journal", "system.journal")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{file: text, filepath.Join(dir, "positions.yaml"): "positions:\n  cursor-sys log: " + cursor + "\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	asPromtailsImage(t, "-config.file="+file)
	entries := loki.AwaitEntries(ctx, 2)
	if got := linesOf(entries); !slices.Equal(got, []string{"c", "d"}) {
		t.Errorf("sent are %q", got)
	}
	if want := `{job="journal", unit="app.service"}`; entries[0].Labels != want {
		t.Errorf("the labels are %s, want %s", entries[0].Labels, want)
	}
}

// The server answers where Promtail's does, with the metrics that its dashboards ask
// for; the UI shows the file and what was made of it, without secrets.
func TestAPromtailFileHasPromtailsServer(t *testing.T) {
	loki := lokitest.New(t)
	_, file := promtailDir(t, loki.URL())
	p, url := asPromtailsImage(t, "-config.file="+file)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	loki.AwaitEntries(ctx, 2)
	if page := get(t, url+"/ready"); page != "Ready" {
		t.Errorf("/ready is %q", page)
	}
	shows(t, url+"/metrics",
		`promtail_sent_entries_total{host="`, "promtail_build_info{", "promtail_read_lines_total{path=", "promtail_read_bytes_total{path=", "promtail_file_bytes_total{path=",
		"promtail_files_active_total 2", "promtail_targets_active_total 2", "promtail_encoded_bytes_total{host=", "promtail_request_duration_seconds_bucket{",
		`status_code="204"`, "promtail_dropped_entries_total{", "promtail_custom_lines_total{", "promtail_config_reload_fail_total 0")
	for path, want := range map[string]string{
		"/configuration?file=" + file: "pipeline_stages",
		"/configuration":              "legacy_positions_file",
		"/config":                     "legacy_positions_file",
		"/api/v1/configuration":       "promtail.alloy",
	} {
		page := get(t, url+path)
		if !strings.Contains(page, want) {
			t.Errorf("%s lacks %s", path, want)
		}
		if strings.Contains(page, "hunter2") {
			t.Errorf("%s shows the password", path)
		}
	}
	onDisk := &disk{path: file, original: true, inForce: p.graph.Sources}
	if diff, err := onDisk.diff(); len(diff) > 0 || err != nil {
		t.Errorf("the file differs from what runs: %+v %v", diff, err)
	}
	if err := os.WriteFile(file, []byte("clients: [{url: nowhere, batchwait: soon}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	onDisk.at = time.Time{}
	if diff, err := onDisk.diff(); len(diff) != 1 || diff[0].Name != file || err != nil {
		t.Errorf("the file, which was changed, differs in %+v: %v", diff, err)
	}
	if sources, err := readSources(file); err == nil || len(sources) != 1 {
		t.Errorf("%+v %v", sources, err)
	}
	resp, err := http.Post(url+"/reload", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), file+":1:") {
		t.Errorf("a wrong file is answered %s %s: %v", resp.Status, body, err)
	}
	if _, failed := p.graph.Configuration(); failed == nil || len(failed.Sources) != 1 || len(failed.Diagnostics) == 0 {
		t.Errorf("the failed reload is %+v", failed)
	}
}

// An error of the graph, which only knows the configuration, is reported at the line of
// Promtail's file.
func TestErrorsAreReportedAtPromtailsLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "promtail.yaml")
	text := `clients: [{url: "http://loki:3100/loki/api/v1/push"}]
scrape_configs:
- job_name: a
  static_configs: [{labels: {__path__: /a.log}}]
  pipeline_stages:
  - docker:
  - regex:
      expression: '(?P<open'
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []func(io.Writer) error{
		func(out io.Writer) error { return validate([]string{file}, io.Discard, out) },
		func(out io.Writer) error {
			return asPromtail([]string{"-check-syntax", "-config.file=" + file}, io.Discard, out)
		},
	} {
		var errOut strings.Builder
		if err := command(&errOut); err == nil || !strings.Contains(errOut.String(), file+":8:") || !strings.Contains(errOut.String(), "(?P<open") {
			t.Errorf("%v: %s", err, errOut.String())
		}
	}
}

// `run` recognizes the file, and its own flags win over it.
func TestRunRecognizesAPromtailFile(t *testing.T) {
	dir, file := promtailDir(t, "http://127.0.0.1:1/push")
	if sources, err := readSources(file); err != nil || len(sources) != 2 || filepath.Base(sources[0].Name) != "promtail.alloy" {
		t.Errorf("%+v %v", sources, err)
	}
	alloy := filepath.Join(dir, "unrelated.alloy")
	for _, test := range []struct {
		args     []string
		promtail bool
	}{
		{[]string{file}, true},
		{[]string{file, "--config.format=promtail"}, true},
		{[]string{file, "--config.format=alloy"}, false},
		{[]string{alloy}, false},
		{[]string{dir}, false},
		{[]string{dir + "/missing"}, false},
	} {
		set, flags := newRunFlags()
		if err := set.Parse(test.args); err != nil {
			t.Fatal(err)
		}
		found, err := flags.format.promtailFile(set.Arg(0))
		if err != nil || (found != nil) != test.promtail {
			t.Errorf("%q: %t %v", test.args, found != nil, err)
		}
	}
	set, flags := newRunFlags()
	if err := set.Parse([]string{file, "--storage.path=/elsewhere", "--config.extra-args=-server.http-listen-port=9999"}); err != nil {
		t.Fatal(err)
	}
	found, err := flags.format.promtailFile(file)
	if err != nil {
		t.Fatal(err)
	}
	result, _, err := found.read(config.Read)
	if err != nil {
		t.Fatal(err)
	}
	found.settle(flags, result)
	if flags.storage != "/elsewhere" || flags.listen != "127.0.0.1:9999" || flags.pprof {
		t.Errorf("%+v", flags)
	}
}

// A disabled server listens for this machine only; without a port in the file, Promtail's
// default is used as Promtail, and the program's own after `run`.
func TestTheServerIsWherePromtailsWouldBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "promtail.yaml")
	const clients = "clients: [{url: \"http://loki/push\"}]\n"
	for _, test := range []struct{ server, asPromtail, afterRun string }{
		{"", ":80", defaultListen()},
		{"server: {http_listen_port: 9080}\n", ":9080", ":9080"},
		{"server: {http_listen_address: \"::1\", http_listen_port: 9080}\n", "[::1]:9080", "[::1]:9080"},
		{"server: {disable: true, http_listen_port: 9080}\n", "127.0.0.1:0", "127.0.0.1:0"},
	} {
		if err := os.WriteFile(file, []byte(test.server+clients), 0o600); err != nil {
			t.Fatal(err)
		}
		own, _, err := (&promtailFile{path: file}).runFlags()
		if err != nil || own.listen != test.asPromtail {
			t.Errorf("%s: as Promtail %s, want %s: %v", test.server, own.listen, test.asPromtail, err)
		}
		_, flags := newRunFlags()
		found, err := flags.format.promtailFile(file)
		if err != nil || found == nil {
			t.Fatal(err)
		}
		result, _, err := found.read(config.Read)
		if err != nil {
			t.Fatal(err)
		}
		if found.settle(flags, result); flags.listen != test.afterRun || flags.storage != "/var/log/positions.yaml.collector" {
			t.Errorf("%s: after run %s, want %s; in %s", test.server, flags.listen, test.afterRun, flags.storage)
		}
	}
}

func TestHealthcheckFindsPromtailsAddress(t *testing.T) {
	_, file := promtailDir(t, "http://127.0.0.1:1/push")
	path := filepath.Join(t.TempDir(), "cmdline")
	for cmdline, want := range map[string]string{
		"/usr/bin/promtail\x00-config.file=" + file + "\x00-server.http-listen-port=77\x00": "127.0.0.1:77",
		"/bin/collector\x00-config.file\x00" + file + "\x00":                                "127.0.0.1:0",
		"/bin/collector\x00run\x00" + file + "\x00":                                         "127.0.0.1:0",
		"/bin/collector\x00-config.file=/missing\x00":                                       defaultListen(),
	} {
		if err := os.WriteFile(path, []byte(cmdline), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := addressOfProcess1(path); got != want {
			t.Errorf("%q: %s, want %s", cmdline, got, want)
		}
	}
}

func TestPromtailsCommandLineIsRecognized(t *testing.T) {
	for line, want := range map[string]bool{
		"/usr/bin/promtail -config.file=/x": true, "/usr/bin/promtail --version": true, "/bin/collector -config.file /x": true,
		"/bin/collector --client.url=http://x": true, "/bin/collector --version": false, "/bin/collector run x": false,
		"/usr/bin/promtail run x": false, "/bin/collector": false,
	} {
		words := strings.Fields(line)
		if got := calledPromtail(words[0], words[1:]); got != want {
			t.Errorf("%s: %t", line, got)
		}
	}
}

// The image's own command line runs Promtail's file if that is what was mounted.
func TestTheImageRunsPromtailsFileIfItIsTheOnlyOne(t *testing.T) {
	dir, file := promtailDir(t, "http://127.0.0.1:1/push")
	missing, alloy := filepath.Join(dir, "config.alloy"), filepath.Join(dir, "unrelated.alloy")
	t.Setenv(defaultConfigVariable, missing)
	for _, test := range []struct {
		path, file string
		want       bool
	}{{missing, file, true}, {missing, dir + "/none.yml", false}, {alloy, file, false}, {"", file, false}} {
		if got := inPromtailsPlace(test.path, test.file); got != test.want {
			t.Errorf("%q beside %q: %t", test.path, test.file, got)
		}
	}
	t.Setenv(defaultConfigVariable, alloy)
	if inPromtailsPlace(alloy, file) {
		t.Error("Promtail's file takes the place of a configuration that is there")
	}
}
