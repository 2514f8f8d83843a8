//go:build integration

package integration

import (
	"archive/tar"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"collector/test/harness"
)

// TestTheImagesBinaryIsItsUsersAndReadOnly runs the image as deploy/compose.yaml does:
// the binary belongs to its user, who may have its pages dropped and can't change it.
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
	if err := engine.Client.ContainerStart(ctx, created.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	binary := fmt.Sprintf("/proc/%d/root/bin/collector", engine.Inspect(t, created.ID).State.Pid)
	for _, command := range [][]string{{"chmod", "u+w", binary}, {"dd", "if=/dev/zero", "of=" + binary, "count=1", "conv=notrunc"}} {
		args := append([]string{"--reuid=65532", "--regid=65532", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"}, command...)
		out, err := exec.Command("setpriv", args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "Read-only file system") && !strings.Contains(string(out), "Permission denied") {
			t.Errorf("its user runs %s: %v: %s", strings.Join(command, " "), err, out)
		}
	}
}
