//go:build integration

package shipping

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// maxWhole bounds the program with everything in it, in bytes.
const maxWhole = 60_000_000

// TestTheLinkerOmitsMethods builds the program as it is shipped. A single function that
// calls methods by names unknown to the compiler costs 7 MB: all exported methods are
// kept.
func TestTheLinkerOmitsMethods(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "collector")
	uses := run(t, []string{"LDFLAGS=-dumpdep"}, "./build.sh", program)
	if !strings.Contains(uses, "\nmain.main -> ") {
		t.Fatal("the linker does not say what uses what")
	}
	functions := map[string]bool{}
	for line := range strings.Lines(uses) {
		if name, _, ok := strings.Cut(line, " <ReflectMethod>"); ok && !functions[name] {
			functions[name] = true
			t.Errorf("%s calls methods by any name", name)
		}
	}
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", info.Size())
	if info.Size() > maxWhole {
		t.Errorf("it has %d bytes, more than %d", info.Size(), maxWhole)
	}
	templatesCallMethods(t, dir, program)
}

const templates = `clients: [{url: "http://127.0.0.1:1/loki/api/v1/push"}]
scrape_configs:
- job_name: a
  static_configs: [{labels: {job: a}}]
  pipeline_stages:
  - template:
      source: text
      template: '{{ (toDate "2006" "2031").Year }} {{ (toDate "2006" "2031").Format "06" }} {{ (semver "1.22.3").Minor }} {{ .Entry | upper }}'
  - output: {source: text}
`

// templatesCallMethods wants the program's templates to call methods of what Sprig's
// functions return, though build.sh has changed how.
func templatesCallMethods(t *testing.T, dir, program string) {
	t.Helper()
	file := filepath.Join(dir, "promtail.yaml")
	if err := os.WriteFile(file, []byte(templates), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-config.file="+file, "-stdin", "-dry-run")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader("line\n")
	out, err := cmd.CombinedOutput()
	if want := `"2031 31 22 LINE"`; err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%s is not in what it prints: %v\n%s", want, err, out)
	}
}
