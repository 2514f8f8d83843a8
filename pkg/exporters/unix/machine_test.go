package unix

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/discovery"
	"collector/pkg/graph"
	"collector/pkg/pipeline"
)

// machine is the folders of a machine that is not this one: those by which the
// library is tested, which are in its module, and a few more.
type machine struct{ dir string }

func newMachine(t testing.TB) machine {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus/node_exporter").Output()
	if err != nil {
		t.Fatalf("where is the library? %v", err)
	}
	fixtures := filepath.Join(strings.TrimSpace(string(out)), "collector", "fixtures")
	m := machine{t.TempDir()}
	if err := os.CopyFS(filepath.Join(m.dir, "proc"), os.DirFS(filepath.Join(fixtures, "proc"))); err != nil {
		t.Fatal(err)
	}
	// Symbolic links are not in modules.
	m.write(t, "proc/net/dev", "Inter-|   Receive                                                |  Transmit\n"+
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"+
		"  eth0: 11 1 0 0 0 0 0 0 12 1 0 0 0 0 0 0\n    lo: 21 1 0 0 0 0 0 0 22 1 0 0 0 0 0 0\n")
	unpack(t, filepath.Join(fixtures, "sys.ttar"), m.dir)
	unpack(t, filepath.Join(fixtures, "udev.ttar"), m.dir)
	m.write(t, "sys/class/net/slow/speed", "-1\n")
	m.write(t, "text/a/one.prom", "from_file 1\n")
	service := make([]byte, 20)
	service[19] = 1 // up
	m.write(t, "service/one/supervise/status", string(service))
	return m
}

func (m machine) write(t testing.TB, name, text string) {
	t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// unpack unpacks an archive in the library's own format.
func unpack(t testing.TB, archive, to string) {
	t.Helper()
	text, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	path := ""
	for i := 0; i < len(lines); i++ {
		key, value, _ := strings.Cut(lines[i], ": ")
		switch key {
		case "Directory":
			err = os.MkdirAll(filepath.Join(to, value), 0o755)
		case "Path":
			path = filepath.Join(to, value)
		case "SymlinkTo":
			err = os.Symlink(value, path)
		case "Lines":
			n, _ := strconv.Atoi(value)
			content := strings.Join(lines[i+1:i+1+n], "\n") + "\n"
			content = strings.NewReplacer("NULLBYTE", "\x00", "EOF\n", "").Replace(content)
			err = os.WriteFile(path, []byte(content), 0o644)
			i += n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// exporter makes the exporter of that machine with more settings.
func (m machine) exporter(t testing.TB, settings string) *Unix {
	t.Helper()
	u, err := makeExporter(fmt.Sprintf("procfs_path = %q\nsysfs_path = %q\nudev_data_path = %q\n%s",
		filepath.Join(m.dir, "proc"), filepath.Join(m.dir, "sys"), filepath.Join(m.dir, "udev/data"), settings))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func makeExporter(settings string) (*Unix, error) {
	made, err := graph.Make(graph.Options{
		Definitions: []component.Definition{Definition()}, Kinds: slices.Concat(pipeline.Kinds(), discovery.Kinds()), Version: "v9",
	}, []config.Source{{Name: "x", Text: []byte("prometheus.exporter.unix \"x\" {\n" + settings + "\n}\n")}}, "prometheus.exporter.unix.x")
	if err != nil {
		return nil, err
	}
	u := made.(*Unix)
	u.nodes.open()
	return u, nil
}

// page is the lines of the exporter's page.
func (u *Unix) page(t testing.TB) []string {
	t.Helper()
	w := httptest.NewRecorder()
	u.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return strings.Split(w.Body.String(), "\n")
}

// has reports whether a line begins with text.
func has(page []string, text string) bool {
	return slices.ContainsFunc(page, func(line string) bool { return strings.HasPrefix(line, text) })
}
