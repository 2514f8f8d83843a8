//go:build integration

package reliability

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"collector/test/harness"
)

// TestMain builds the collector once, so that all scenarios run the same one,
// whatever is edited or built in the meantime.
func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	if os.Getenv(harness.BinaryVariable) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "reliability")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "collector")
	build := exec.Command("make", "--no-print-directory", "build")
	build.Dir, build.Env = harness.Root(), append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err == nil {
		err = exec.Command("cp", filepath.Join(harness.Root(), "bin", "collector"), binary).Run()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "build the collector: %v\n%s", err, out)
		return 1
	}
	os.Setenv(harness.BinaryVariable, binary)
	return m.Run()
}
