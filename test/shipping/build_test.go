//go:build integration

package shipping

import (
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// run runs a command in the project's folder.
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// maxSmall bounds the program without the heavy families, in bytes.
const maxSmall = 33 << 20

// TestABuildWithoutHeavyFamiliesSaysWhatItLacks builds with all tags, and validates a
// configuration with a component that each of them omits.
func TestABuildWithoutHeavyFamiliesSaysWhatItLacks(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "collector")
	run(t, []string{"TAGS=no_exporters,no_otel_contrib,no_demo"}, "./build.sh", program)
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f MiB", float64(info.Size())/(1<<20))
	if info.Size() > maxSmall {
		t.Errorf("it has %d bytes, more than %d", info.Size(), maxSmall)
	}
	config := filepath.Join(dir, "config.alloy")
	if err := os.WriteFile(config, []byte("prometheus.exporter.unix \"a\" { }\n\notelcol.processor.attributes \"b\" { }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "validate", config).CombinedOutput()
	if err == nil {
		t.Error("the configuration is valid")
	}
	for name, tag := range map[string]string{"prometheus.exporter.unix": "no_exporters", "otelcol.processor.attributes": "no_otel_contrib"} {
		if want := name + " is not in this build of collector, which was built with the tag " + tag; !strings.Contains(string(out), want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	if out, err := exec.Command(program, "demo").CombinedOutput(); err == nil || !strings.Contains(string(out), "built with the tag no_demo") {
		t.Errorf("collector demo: %v: %s", err, out)
	}
}

// bom is what is checked of a bill of materials.
type bom struct {
	BomFormat, SpecVersion string
	Metadata               struct {
		Component struct{ Name, Version string }
	}
	Components []struct {
		Name, Version, Purl string
		Licenses            []struct{ License struct{ ID string } }
	}
}

// TestAReleaseIsWhole makes one, as the workflow does, into a folder of the test.
func TestAReleaseIsWhole(t *testing.T) {
	dist := t.TempDir()
	run(t, nil, "make", "release", "DIST="+dist, "VERSION=v1.2.3")
	sums := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	sums.Dir = dist
	if out, err := sums.CombinedOutput(); err != nil {
		t.Errorf("the checksums: %v\n%s", err, out)
	}
	list := read(t, filepath.Join(dist, "SHA256SUMS"))
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		program := filepath.Join(dist, "collector-linux-"+arch)
		for _, name := range []string{filepath.Base(program), filepath.Base(program) + ".cdx.json"} {
			if !strings.Contains(list, "  "+name+"\n") {
				t.Errorf("%s has no checksum", name)
			}
		}
		checkProgram(t, program, arch, machine)
		checkBill(t, program)
	}
}

// checkProgram wants a static program for the machine, which prints its version if it can
// run.
func checkProgram(t *testing.T, path, arch string, machine elf.Machine) {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if file.Machine != machine {
		t.Errorf("%s is for %s", path, file.Machine)
	}
	if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("%s is not static: %v %v", path, libraries, err)
	}
	command := []string{path, "--version"}
	if arch != runtime.GOARCH {
		if arch != "arm64" {
			return
		}
		command = append([]string{"qemu-aarch64-static"}, command...)
	}
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "version v1.2.3 ") || !strings.Contains(string(out), "linux/"+arch) {
		t.Errorf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
}

// checkBill wants every module that is linked into the program, with its license.
func checkBill(t *testing.T, program string) {
	t.Helper()
	var b bom
	if err := json.Unmarshal([]byte(read(t, program+".cdx.json")), &b); err != nil {
		t.Fatal(err)
	}
	if b.BomFormat != "CycloneDX" || b.Metadata.Component.Version != "v1.2.3" {
		t.Errorf("it is %s of version %q", b.BomFormat, b.Metadata.Component.Version)
	}
	listed := map[string]bool{}
	for _, c := range b.Components {
		listed[c.Name] = true
		if len(c.Licenses) == 0 || c.Licenses[0].License.ID == "" {
			t.Errorf("%s has no license", c.Name)
		}
		if !strings.HasPrefix(c.Purl, "pkg:golang/"+c.Name+"@") {
			t.Errorf("%s is at %s", c.Name, c.Purl)
		}
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	modules := 0
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Version == "(devel)" {
			continue // a stub of the project's own
		}
		modules++
		if !listed[m.Path] {
			t.Errorf("%s is not listed", m.Path)
		}
	}
	if len(b.Components) != modules+1 {
		t.Errorf("it lists %d components, want %d and Go's library", len(b.Components), modules)
	}
}

// TestTheDockerfilesSourceIsEnough does what deploy/image/Dockerfile does to build from
// the source, where an image of Go is not available: with only the files that it copies.
func TestTheDockerfilesSourceIsEnough(t *testing.T) {
	dockerfile := read(t, filepath.Join(root, "deploy", "image", "Dockerfile"))
	_, stage, ok := strings.Cut(dockerfile, " AS build\n")
	if !ok {
		t.Fatal("there is no stage called build")
	}
	stage, _, _ = strings.Cut(stage, "\nFROM ")
	source, out := t.TempDir(), t.TempDir()
	var build string
	for line := range strings.Lines(strings.ReplaceAll(stage, "\\\n", " ")) {
		words := strings.Fields(line)
		if len(words) > 2 && words[0] == "COPY" {
			to := filepath.Join(source, words[len(words)-1])
			if err := os.MkdirAll(to, 0o755); err != nil {
				t.Fatal(err)
			}
			for _, from := range words[1 : len(words)-1] {
				if info, err := os.Stat(filepath.Join(root, from)); err == nil && info.IsDir() {
					from += "/."
				}
				run(t, nil, "cp", "-r", from, to)
			}
		}
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "RUN "); ok {
			build = command
		}
	}
	cmd := exec.Command("sh", "-ec", regexp.MustCompile(`/out\b`).ReplaceAllString(build, out))
	cmd.Dir = source
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, output)
	}
	for path, mode := range map[string]os.FileMode{
		"collector": 0o555, "root/bin": os.ModeDir | 0o755, "root/licenses/LICENSE": 0o644,
		"root/var/lib/alloy/data": os.ModeDir | os.ModeSticky | 0o777, "root/tmp": os.ModeDir | os.ModeSticky | 0o777,
	} {
		info, err := os.Stat(filepath.Join(out, path))
		if err != nil {
			t.Error(err)
		} else if info.Mode() != mode {
			t.Errorf("%s has the mode %s, want %s", path, info.Mode(), mode)
		}
	}
	if to, err := os.Readlink(filepath.Join(out, "root/bin/alloy")); to != "collector" {
		t.Errorf("bin/alloy leads to %q: %v", to, err)
	}
	if to, err := os.Readlink(filepath.Join(out, "root/usr/bin/promtail")); to != "../../bin/collector" {
		t.Errorf("usr/bin/promtail leads to %q: %v", to, err)
	}
}
