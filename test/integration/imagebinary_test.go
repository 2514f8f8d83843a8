//go:build integration

package integration

import (
	"archive/tar"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"

	"collector/test/harness"
)

// maxResidentPart is the part of the binary that is in memory at most, in the system's
// cache of the file too, once the collector has dropped what only its start needs.
// Right after the image has been built it is all of it.
const maxResidentPart = 0.6

// TestTheImagesBinaryIsItsUsersAndReadOnly runs the image as deploy/compose.yaml does:
// the binary's owner may have its pages dropped, and can't change the file.
func TestTheImagesBinaryIsItsUsersAndReadOnly(t *testing.T) {
	engine := harness.StartEngine(t)
	buildImage(t, engine)
	ctx := context.Background()
	created, err := engine.Client.ContainerCreate(ctx, &container.Config{
		Image: imageName, User: "65532:65532", Cmd: []string{"run", "--storage.path=/var/lib/alloy/data"},
	}, &container.HostConfig{ReadonlyRootfs: true, CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"}}, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]tar.Header{"/bin/collector": {Uid: 65532, Mode: 0o555}, "/bin": {Uid: 0, Mode: 0o755}} {
		files, _, err := engine.Client.CopyFromContainer(ctx, created.ID, path)
		if err != nil {
			t.Fatal(err)
		}
		header, err := tar.NewReader(files).Next()
		files.Close()
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != want.Uid || header.Mode&0o7777 != want.Mode {
			t.Errorf("%s belongs to %d and has the mode %o, want %d and %o", path, header.Uid, header.Mode&0o7777, want.Uid, want.Mode)
		}
	}
	unix.Sync() // pages that are not on disk yet can't be dropped
	if err := engine.Client.ContainerStart(ctx, created.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	binary := fmt.Sprintf("/proc/%d/root/bin/collector", engine.Inspect(t, created.ID).State.Pid)
	harness.Eventually(t, time.Minute, func() error {
		if part := resident(t, binary); part > maxResidentPart {
			return fmt.Errorf("%.0f%% of its file are in memory", 100*part)
		}
		return nil
	})
	for _, command := range [][]string{{"chmod", "u+w", binary}, {"dd", "if=/dev/zero", "of=" + binary, "count=1", "conv=notrunc"}} {
		args := append([]string{"--reuid=65532", "--regid=65532", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"}, command...)
		out, err := exec.Command("setpriv", args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "Read-only file system") && !strings.Contains(string(out), "Permission denied") {
			t.Errorf("its user runs %s: %v: %s", strings.Join(command, " "), err, out)
		}
	}
}

// resident is the part of a file that is in the system's memory.
func resident(t *testing.T, path string) float64 {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	memory, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(memory) }()
	pages := make([]byte, (len(memory)+os.Getpagesize()-1)/os.Getpagesize())
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&memory[0])), uintptr(len(memory)), uintptr(unsafe.Pointer(&pages[0]))); errno != 0 {
		t.Fatal(errno)
	}
	there := 0
	for _, page := range pages {
		there += int(page & 1)
	}
	return float64(there) / float64(len(pages))
}
