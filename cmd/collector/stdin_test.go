package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"collector/pkg/logs/logstest"
	"collector/pkg/logs/lokitest"
	"collector/pkg/promtail"
)

// runStdin runs the program as `promtail -stdin` until it ends by itself, or ctx does.
func runStdin(t *testing.T, ctx context.Context, in io.Reader, args ...string) error {
	t.Helper()
	flags, err := promtail.ParseFlags(append(args, "-stdin"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	flags.Options.Stdin = true
	own, result, err := (&promtailFile{path: flags.File, options: flags.Options}).runFlags()
	if err != nil {
		t.Fatal(err)
	}
	if !result.Stdin {
		t.Fatal("standard input is not read")
	}
	own.stdin, own.storage, own.listen = newStdinOf(in), t.TempDir(), "127.0.0.1:0"
	p := newProgram(own, flags.File, io.Discard, own.stdin.definitions()...)
	p.stdin = own.stdin
	return p.run(ctx, io.Discard)
}

// The program ends with standard input, when all of it has been delivered: even while
// Loki fails, and including what a stage holds back.
func TestStandardInputIsDeliveredBeforeTheProgramEnds(t *testing.T) {
	loki, file := lokitest.New(t), filepath.Join(t.TempDir(), "promtail.yaml")
	failures := 3
	loki.Respond(func(lokitest.Request) *lokitest.Answer {
		if failures--; failures >= 0 {
			return &lokitest.Answer{Status: 503, Body: "down"}
		}
		return nil
	})
	text := fmt.Sprintf(`clients: [{url: %s, batchwait: 10ms, backoff_config: {min_period: 10ms, max_period: 50ms}}]
scrape_configs:
- job_name: in
  static_configs: [{labels: {job: in, a: x}}, {labels: {a: y}}]
  relabel_configs: [{action: drop, source_labels: [job], regex: in}]
  pipeline_stages:
  - regex: {expression: '(?P<kind>line|block)'}
  - labels: {kind: }
  - match: {selector: '{kind="block"}', stages: [{multiline: {firstline: '^block', max_wait_time: 1s}}]}
- job_name: ignored
`, loki.URL())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := append(logstest.Numbered(0, 5000), "block\n a block")
	in := strings.NewReader(logstest.Text(append(logstest.Numbered(0, 5000), "block", " a block")))
	if err := runStdin(t, t.Context(), in, "-config.file="+file); err != nil {
		t.Fatal(err)
	}
	logstest.WantEach(t, want, linesOf(loki.Entries()))
	if got, want := loki.Entries()[0].Labels, `{a="y", job="in", kind="line"}`; got != want {
		t.Errorf("labels %s, want %s", got, want)
	}
}

// Without a file, the labels are Promtail's.
func TestStandardInputNeedsNoFile(t *testing.T) {
	loki := lokitest.New(t)
	if err := runStdin(t, t.Context(), strings.NewReader("a\nb"), "-client.url="+loki.URL()); err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if got := linesOf(loki.Entries()); !slices.Equal(got, []string{"a", "b"}) || loki.Entries()[0].Labels != fmt.Sprintf(`{hostname=%q, job="stdin"}`, host) {
		t.Errorf("%q of %s", got, loki.Entries()[0].Labels)
	}
}

// A program that is stopped before that says what is lost.
func TestAProgramThatEndsBeforeStandardInputIsDeliveredSaysSo(t *testing.T) {
	loki := lokitest.New(t)
	loki.Respond(func(lokitest.Request) *lokitest.Answer { return &lokitest.Answer{Status: 503, Body: "down"} })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		loki.Await(ctx, func(_ []lokitest.Entry, requests []lokitest.Request) bool { return len(requests) > 0 })
		cancel()
	}()
	err := runStdin(t, ctx, bytes.NewReader([]byte("a\nb\n")), "-client.url="+loki.URL())
	if err == nil || !strings.Contains(err.Error(), "2 entries of standard input have not been delivered") {
		t.Error(err)
	}
}
