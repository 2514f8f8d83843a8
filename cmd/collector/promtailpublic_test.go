package main

import (
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"collector/pkg/admin"
	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/logging"
	"collector/pkg/logs/lokitest"
)

// Lines of the kinds that pipelines expect.
var madeLines = []string{
	`{"level":"info","time":"2026-01-02T03:04:05Z","timestamp":"2026-01-02T03:04:05Z","msg":"hello","message":"hello","log":"hello\n","stream":"stdout","request":"GET / HTTP/1.1","status":"200"}`,
	`203.0.113.9 - - [02/Jan/2026:03:04:05 +0000] "GET /a?b=c HTTP/1.1" 200 612 "-" "curl/8.0"`,
	`2026-01-02T03:04:05.000Z stdout F INFO [main] c.e.Application - hello`,
	`Jan  2 03:04:05 host app[7]: level=info msg=hello`,
}

var (
	pathLine = regexp.MustCompile(`(?m)(^[^#\n]*__path__["']?\s*:\s*["']?)(/[^\s"',}]+)`)
	urlLine  = regexp.MustCompile(`(?m)(^\s*(?:-\s+)?url\s*:\s*).*$`)
	portLine = regexp.MustCompile(`(?m)(^\s*http_listen_port\s*:\s*).*$`)
	// variable is one without a default; each is set, to what is a text and a switch.
	variable = regexp.MustCompile(`\$\{(\w+)\}`)
	// dropsFilename says that the entries have no label for their file.
	dropsFilename = regexp.MustCompile(`(?m)^\s*-\s*labeldrop:\s*\n\s*-\s*filename`)

	fileLine = regexp.MustCompile(`(?m)(^\s*filename\s*:\s*)["']?/.*(?:pos|tmp|run|data|mnt).*$`)
)

// TestPublicFilesRun runs the files that the test TestPublicFiles of pkg/promtail
// describes: paths are below a folder, whose files get lines, and at least one line
// of each has to arrive, with the labels of its target.
func TestPublicFilesRun(t *testing.T) {
	dir := os.Getenv("PROMTAIL_FILES")
	if dir == "" {
		t.Skip("PROMTAIL_FILES does not name a folder of public files")
	}
	list, err := os.ReadFile(filepath.Join("..", "..", "pkg", "promtail", "testdata", "public.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for line := range strings.Lines(string(list)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 3 {
			continue
		}
		name := strings.ReplaceAll(strings.Replace(fields[0], "/", "+", 1)+"/"+fields[1], "/", "_")
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if !pathLine.Match(text) {
			continue
		}
		ran++
		t.Run(name, func(t *testing.T) { runPublicFile(t, string(text)) })
	}
	if t.Logf("%d files ran", ran); ran < 10 {
		t.Errorf("only %d files ran", ran)
	}
}

func runPublicFile(t *testing.T, text string) {
	loki, dir := lokitest.NewHandler(t), t.TempDir()
	server := httptest.NewServer(loki)
	t.Cleanup(server.Close)
	text = urlLine.ReplaceAllString(text, "${1}"+server.URL+"/loki/api/v1/push")
	text = portLine.ReplaceAllString(text, "${1}0")
	text = fileLine.ReplaceAllString(text, "${1}"+dir+"/positions.yaml")
	text = pathLine.ReplaceAllString(text, "${1}"+dir+"${2}")
	var paths []string
	for _, m := range pathLine.FindAllStringSubmatch(text, -1) {
		path := strings.NewReplacer("**", "d", "*", "x", "?", "x", "{", "", "}", "").Replace(strings.SplitN(m[2], ",", 2)[0])
		if filepath.Ext(path) == "" && strings.HasSuffix(m[2], "/") {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Join(madeLines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	file := filepath.Join(dir, "promtail.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, m := range variable.FindAllStringSubmatch(text, -1) {
		t.Setenv(m[1], "true")
	}
	set, flags := newRunFlags()
	if err := set.Parse([]string{file, "--server.http.listen-addr=127.0.0.1:0", "--storage.path=" + t.TempDir(), "--config.format=promtail",
		"--config.expand-env=" + fmt.Sprint(strings.Contains(text, "${")), "--config.bypass-conversion-errors"}); err != nil {
		t.Fatal(err)
	}
	promtail, err := flags.format.promtailFile(file)
	if err != nil {
		t.Fatal(err)
	}
	result, _, err := promtail.read(config.Read)
	if err != nil {
		t.Fatal(err)
	}
	for _, later := range []string{"loki.source.journal", "loki.source.syslog"} {
		known := slices.ContainsFunc(components(logging.New(io.Discard), &admin.Access{}, nil, nil), func(d component.Definition) bool { return d.Name == later })
		if !known && strings.Contains(string(result.Config.Text), later+" \"") {
			t.Skipf("there is no %s yet", later)
		}
	}
	flags.promtail = promtail
	startProgram(t, flags, file)
	missing := func(entries []lokitest.Entry) []string {
		return slices.DeleteFunc(slices.Clone(paths), func(path string) bool {
			if dropsFilename.MatchString(text) {
				return len(entries) >= len(madeLines)
			}
			return slices.ContainsFunc(entries, func(e lokitest.Entry) bool { return strings.Contains(e.Labels, fmt.Sprintf("filename=%q", path)) })
		})
	}
	for deadline := time.Now().Add(time.Minute); len(missing(loki.Entries())) > 0; <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("of %d files, nothing of %s arrives\n%s\n%s", len(paths), missing(loki.Entries()), text, result.Config.Text)
		}
	}
}
