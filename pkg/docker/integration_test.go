//go:build integration

package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"

	"collector/test/harness"
)

const writerImage = "collector-test-writer:latest"

// realEngine is a Docker Engine of the test's own, with the image of
// testdata/writer.
func realEngine(t *testing.T) (*Engine, *client.Client) {
	t.Helper()
	engine := harness.StartEngine(t)
	importWriter(t, engine.Client)
	e, err := NewPool(nil).Engine(Config{Host: engine.Host})
	if err != nil {
		t.Fatal(err)
	}
	return e, engine.Client
}

func importWriter(t *testing.T, cli *client.Client) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "writer")
	build := exec.Command("go", "build", "-o", binary, "./testdata/writer/main.go")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	w.WriteHeader(&tar.Header{Name: "writer", Mode: 0o755, Size: int64(len(content))})
	w.Write(content)
	w.Close()
	r, err := cli.ImageImport(t.Context(), image.ImportSource{Source: &archive, SourceName: "-"}, writerImage, image.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
}

type options struct {
	tty, remove bool
	driver      string
	labels      map[string]string
}

// create makes a container of writer, which leaves with the test.
func create(t *testing.T, cli *client.Client, o options, args ...string) string {
	t.Helper()
	resp, err := cli.ContainerCreate(t.Context(),
		&container.Config{Image: writerImage, Entrypoint: []string{"/writer"}, Cmd: args, Tty: o.tty, Labels: o.labels},
		&container.HostConfig{NetworkMode: "none", AutoRemove: o.remove, LogConfig: container.LogConfig{Type: o.driver}}, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cli.ContainerRemove(context.Background(), resp.ID, container.RemoveOptions{Force: true}) })
	return resp.ID
}

// finish starts a container and waits for its end.
func finish(t *testing.T, cli *client.Client, id string) {
	t.Helper()
	done, errs := cli.ContainerWait(t.Context(), id, container.WaitConditionNextExit)
	if err := cli.ContainerStart(t.Context(), id, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case err := <-errs:
		t.Fatal(err)
	}
}

type line struct {
	time time.Time
	text string
}

// lines reads a container's output and joins the pieces of lines.
func lines(t *testing.T, e *Engine, id string, o LogOptions) ([]line, error) {
	t.Helper()
	r, err := e.Logs(t.Context(), id, o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []line
	text, open := "", false
	for {
		f, err := r.Next()
		if err != nil {
			if open {
				out = append(out, line{text: text})
			}
			if err.Error() == "EOF" {
				err = nil
			}
			return out, err
		}
		text, open = text+string(f.Text), f.Partial
		if !open {
			out = append(out, line{f.Time, text})
			text = ""
		}
	}
}

func texts(lines []line) []string {
	var out []string
	for _, l := range lines {
		out = append(out, l.text)
	}
	return out
}

func TestLinesOfAllSizesArriveAsTheyWere(t *testing.T) {
	e, cli := realEngine(t)
	var args, want []string
	for _, n := range []int{0, 1, 15_900, 16_383, 16_384, 16_385, 32_768, 32_769, 65_536, 100_000, 300_000, 2 << 20, 0, 3} {
		args, want = append(args, fmt.Sprint(n)), append(want, strings.Repeat("x", n))
	}
	for _, driver := range []string{"json-file", "local"} {
		for _, tty := range []bool{false, true} {
			id := create(t, cli, options{tty: tty, driver: driver}, append([]string{"sizes"}, args...)...)
			finish(t, cli, id)
			got, err := lines(t, e, id, LogOptions{TTY: tty})
			if err != nil || !cmp.Equal(want, texts(got)) {
				var lengths []int
				for _, l := range got {
					lengths = append(lengths, len(l.text))
				}
				t.Errorf("%s, TTY %v: %v, lines of %v bytes", driver, tty, err, lengths)
			}
		}
	}
}

func TestAnUnfinishedLineDoesNotSwallowTheNextStartsFirst(t *testing.T) {
	e, cli := realEngine(t)
	for _, driver := range []string{"json-file", "local"} {
		for _, tty := range []bool{false, true} {
			id := create(t, cli, options{tty: tty, driver: driver}, "text", "first\n", "unfinished")
			finish(t, cli, id)
			finish(t, cli, id)
			got, err := lines(t, e, id, LogOptions{TTY: tty})
			if diff := cmp.Diff([]string{"first", "unfinished", "first", "unfinished"}, texts(got)); diff != "" || err != nil {
				t.Errorf("%s, TTY %v: %v %s", driver, tty, err, diff)
			}
		}
	}
}

func TestSinceIsExactToTheNanosecond(t *testing.T) {
	e, cli := realEngine(t)
	for _, tty := range []bool{false, true} {
		id := create(t, cli, options{tty: tty}, "lines", "1000")
		finish(t, cli, id)
		all, err := lines(t, e, id, LogOptions{TTY: tty})
		if err != nil || len(all) != 1000 {
			t.Fatalf("%d lines, %v", len(all), err)
		}
		for _, i := range []int{0, 1, 500, 999} {
			from := i
			for from > 0 && all[from-1].time.Equal(all[i].time) {
				from--
			}
			got, err := lines(t, e, id, LogOptions{TTY: tty, Since: all[i].time})
			if diff := cmp.Diff(texts(all[from:]), texts(got)); diff != "" || err != nil {
				t.Errorf("TTY %v, since line %d: %v %s", tty, i, err, diff)
			}
		}
	}
}

func TestKindsOfUnreadableLogsAreDistinguished(t *testing.T) {
	e, cli := realEngine(t)
	id := create(t, cli, options{driver: "none"}, "lines", "1")
	if _, err := lines(t, e, id, LogOptions{}); !IsUnreadable(err) {
		t.Errorf("driver none: %v", err)
	}
	if _, err := lines(t, e, "0123456789ab", LogOptions{}); !IsNotFound(err) {
		t.Errorf("missing: %v", err)
	}
	for _, tty := range []bool{false, true} {
		id = create(t, cli, options{tty: tty, driver: "json-file"}, "lines", "3")
		finish(t, cli, id)
		info, err := cli.ContainerInspect(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(info.LogPath, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Skipf("the Engine's files cannot be damaged from here: %v", err)
		}
		f.WriteString("\x00\x00\x00\n")
		f.Close()
		finish(t, cli, id)
		got, err := lines(t, e, id, LogOptions{TTY: tty})
		t.Logf("damaged, TTY %v: %d lines, %v", tty, len(got), err)
		if err != nil && !IsCorrupt(err) {
			t.Errorf("damaged, TTY %v: %v", tty, err)
		}
	}
}

func TestShortLivedContainersAreReadWhole(t *testing.T) {
	e, cli := realEngine(t)
	start(t, e, 0)
	await(t, e, func(s Snapshot) bool { return s.Listed })
	const runs = 20
	whole := 0
	for i := range runs {
		label := fmt.Sprint(i)
		id := create(t, cli, options{remove: true, labels: map[string]string{"run": label}}, "lines", "1000")
		if err := cli.ContainerStart(t.Context(), id, container.StartOptions{}); err != nil {
			t.Fatal(err)
		}
		s := await(t, e, has(id, func(c *Container) bool { return c.Running || c.Ended }))
		if c := get(s, id); c.Labels["run"] != label {
			t.Errorf("container %+v", c)
		}
		got, err := lines(t, e, id, LogOptions{Follow: true})
		if err == nil && len(got) == 1000 {
			whole++
		} else {
			t.Logf("run %d: %d lines, %v", i, len(got), err)
		}
		await(t, e, has(id, func(c *Container) bool { return c.Ended }))
	}
	t.Logf("%d of %d containers read whole", whole, runs)
	if whole < runs*9/10 {
		t.Errorf("%d of %d containers read whole", whole, runs)
	}
}

func TestTheSnapshotAgreesWithTheEngine(t *testing.T) {
	e, cli := realEngine(t)
	follow(t, e, 0)
	id := create(t, cli, options{tty: true, labels: map[string]string{"a": "b"}}, "sleep")
	if err := cli.ContainerStart(t.Context(), id, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	s := await(t, e, has(id, func(c *Container) bool { return c.Running && len(c.Networks) == 1 }))
	c := get(s, id)
	if c.NetworkMode != "none" || c.Networks[0].Name != "none" || s.Networks[c.Networks[0].NetworkID] == nil || !c.TTY || c.Labels["a"] != "b" {
		t.Errorf("container %+v", c)
	}
	inspected, err := e.Inspect(t.Context(), id)
	if diff := cmp.Diff(*c, inspected); diff != "" || err != nil {
		t.Error(err, diff)
	}
	summaries, err := e.list(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range summaries {
		if listed := summaries[i].Container; listed.ID == id {
			listed.TTY, listed.LogDriver, listed.StartedAt, listed.FinishedAt = c.TTY, c.LogDriver, c.StartedAt, c.FinishedAt
			if diff := cmp.Diff(*c, listed); diff != "" {
				t.Error(diff)
			}
		}
	}
	if err := cli.ContainerKill(t.Context(), id, "KILL"); err != nil {
		t.Fatal(err)
	}
	await(t, e, has(id, func(c *Container) bool { return c.Ended }))
}
