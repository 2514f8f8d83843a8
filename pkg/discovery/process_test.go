package discovery

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/inspect"
)

const (
	containerA = "7edda1de1e0d1d366351e478359cf5fa16bb8ab53063a99bb119e56971bfb7e2"
	containerB = "a534eb629135e43beb13213976e37bb2ab95cba4c0d1d0b4e27c6bc4d8091b83"
)

// putProcess makes what the kernel shows of a process. Without an exe it is a kernel
// thread.
func putProcess(t *testing.T, root, pid, exe, cmdline, uid, cgroup string) {
	t.Helper()
	dir := filepath.Join(root, pid)
	err := os.MkdirAll(dir, 0o700)
	if exe != "" {
		err = errors.Join(err, os.Symlink(exe, filepath.Join(dir, "exe")))
	}
	err = errors.Join(err, os.Symlink("/srv", filepath.Join(dir, "cwd")))
	for name, text := range map[string]string{
		"cmdline": cmdline, "cgroup": cgroup, "status": "Name:\tx\nUid:\t" + uid + "\t5\t6\t7\nGid:\t8\n",
	} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// newProcess makes the component with a proc of its own.
func newProcess(t *testing.T, root string, c ProcessConfig) *Process {
	t.Helper()
	p, err := NewProcess(c, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p.reader.root = root
	p.poll.refresh(t.Context())
	p.join()
	return p
}

func processConfig() ProcessConfig {
	var c ProcessConfig
	c.SetToDefault()
	return c
}

func TestEachLabelOfAProcessIsReadIfAskedFor(t *testing.T) {
	root := t.TempDir()
	v1 := "12:cpuset:/kubepods.slice/cri-containerd-" + containerA + ".scope\n1:name=systemd:/docker/" + containerB + "\n"
	putProcess(t, root, "10", "/bin/app (deleted)", "app\x00--a\x00\x00b c\xff\x00", "0", v1)
	putProcess(t, root, "9", "", "", "4294967290", "0::/../../user.slice/session-3.scope\n")
	if err := os.MkdirAll(filepath.Join(root, "11"), 0o700); err != nil { // which ends at this moment
		t.Fatal(err)
	}
	f := func(read ProcessLabels, want ...string) {
		t.Helper()
		p := newProcess(t, root, ProcessConfig{RefreshInterval: time.Minute, Discover: read})
		targets, _ := p.out.Targets()
		if d := cmp.Diff(want, texts(targets)); d != "" || p.Health() != nil {
			t.Errorf("%+v: health %v %s", read, p.Health(), d)
		}
	}
	f(ProcessLabels{}, `{__process_pid__="9"}`, `{__process_pid__="10"}`, `{__process_pid__="11"}`)
	f(ProcessLabels{Exe: true}, `{__meta_process_exe="/bin/app (deleted)", __process_pid__="10"}`)
	f(ProcessLabels{Cwd: true}, `{__meta_process_cwd="/srv", __process_pid__="9"}`, `{__meta_process_cwd="/srv", __process_pid__="10"}`)
	f(ProcessLabels{Commandline: true}, `{__process_pid__="9"}`, `{__meta_process_commandline="app --a b c`+"\uFFFD"+`", __process_pid__="10"}`)
	f(ProcessLabels{UID: true}, `{__meta_process_uid="4294967290", __process_pid__="9"}`, `{__meta_process_uid="0", __process_pid__="10"}`)
	f(ProcessLabels{Username: true}, `{__process_pid__="9"}`, `{__meta_process_username="root", __process_pid__="10"}`)
	f(ProcessLabels{ContainerID: true}, `{__process_pid__="9"}`, `{__container_id__="`+containerA+`", __process_pid__="10"}`)
	f(ProcessLabels{CgroupPath: true}, `{__meta_process_cgroup_path="0::/../../user.slice/session-3.scope", __process_pid__="9"}`,
		`{__meta_process_cgroup_path="`+strings.ReplaceAll(strings.TrimSpace(v1), "\n", "|")+`", __process_pid__="10"}`)
}

func TestContainersAreKnownFromCgroups(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := containerID(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	f("11:devices:/kubepods/besteffort/pod85adbef3-622f/"+containerA, containerA)
	f("0::/../docker-"+containerA+".scope\n", containerA)
	f("0::/kubepods.slice/crio-"+containerA+".scope", containerA)
	f("0::/system.slice/docker-"+containerB+".scope/docker/"+containerA, containerA)
	f("2:cpu:/\n1:name=systemd:/docker/"+containerA+" \n", containerA)
	f("0::/docker/"+containerA+"/init", "")
	f("0::/docker/"+containerA[1:], "")
	f("0::/", "")
	f("", "")
}

func TestProcessesGetTheLabelsOfTheirContainers(t *testing.T) {
	process := func(pid, id string) Target {
		b := labels.NewBuilder(labels.FromStrings(processPIDLabel, pid, "own", "p"))
		return b.Set(processContainerLabel, id).Labels()
	}
	docker := func(id, more string) Target {
		return labels.FromStrings("__meta_docker_container_id", id, "own", more)
	}
	kubernetes := labels.FromStrings("__meta_kubernetes_pod_container_id", "containerd://"+containerB, "pod", "x")
	other := labels.FromStrings("__meta_kubernetes_pod_container_id", "rkt://"+containerA)
	got := joinTargets([]Target{process("1", containerA), process("2", containerB), process("3", ""), process("4", "c")},
		[]Target{docker(containerA, "first"), other, docker(containerA, "last"), kubernetes})
	want := []string{
		`{__meta_kubernetes_pod_container_id="rkt://` + containerA + `"}`,
		`{__container_id__="` + containerA + `", __meta_docker_container_id="` + containerA + `", __process_pid__="1", own="last"}`,
		`{__container_id__="` + containerB + `", __meta_kubernetes_pod_container_id="containerd://` + containerB + `", __process_pid__="2", own="p", pod="x"}`,
		`{__process_pid__="3", own="p"}`,
		`{__container_id__="c", __process_pid__="4", own="p"}`,
		`{__meta_docker_container_id="` + containerA + `", own="last"}`,
		`{__meta_kubernetes_pod_container_id="containerd://` + containerB + `", pod="x"}`,
	}
	if d := cmp.Diff(want, texts(got)); d != "" {
		t.Error(d)
	}
}

func TestWhatProcessesAreJoinedWithIsLive(t *testing.T) {
	root := t.TempDir()
	putProcess(t, root, "1", "/bin/app", "", "0", "0::/docker/"+containerA)
	c := processConfig()
	c.Join = NewSet(labels.FromStrings("a", "b"))
	p := newProcess(t, root, c)
	if targets, _ := p.out.Targets(); len(targets) != 2 {
		t.Errorf("targets %v", targets)
	}
	run(t, p)
	c.Join.Replace([]Target{labels.FromStrings("__meta_docker_container_id", containerA, "name", "web")})
	await(t, p.out, func(targets []Target) bool {
		return len(targets) == 2 && targets[0].Get("name") == "web" && targets[0].Get(processExeLabel) == "/bin/app"
	})
}

func TestProcessesThatCannotBeReadAreCounted(t *testing.T) {
	root := t.TempDir()
	putProcess(t, root, "1", "/bin/app", "", "0", "")
	putProcess(t, root, "2", "", "", "0", "")
	if err := os.WriteFile(filepath.Join(root, "2", "exe"), nil, 0o600); err != nil { // no link
		t.Fatal(err)
	}
	p := newProcess(t, root, processConfig())
	var partial inspect.Partial
	if err := p.Health(); !errors.As(err, &partial) || !strings.Contains(err.Error(), "1 of 2 processes") {
		t.Errorf("health %v", err)
	}
	if s := p.Status().(ProcessStatus); s.Processes != 1 || s.Targets != 1 || s.Skipped != 1 || s.Error == "" {
		t.Errorf("status %+v", s)
	}
	if err := skippedError(3, 4, fmt.Errorf("exe: %w", fs.ErrPermission)); !strings.Contains(err.Error(), "SYS_PTRACE") {
		t.Error(err)
	}
	p.reader.root = filepath.Join(root, "none")
	p.poll.refresh(t.Context())
	if err := p.Health(); err == nil || errors.As(err, &partial) {
		t.Errorf("health %v", err)
	}
	if targets, _ := p.out.Targets(); len(targets) != 1 {
		t.Errorf("targets %v", targets)
	}
}

func TestRealProcessesAreTargetsWhileTheyRun(t *testing.T) {
	c := processConfig()
	c.RefreshInterval = 20 * time.Millisecond
	c.Discover.UID, c.Discover.Username = true, true
	p, err := NewProcess(c, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ofPID := func(targets []Target, pid int) Target {
		for _, target := range targets {
			if target.Get(processPIDLabel) == strconv.Itoa(pid) {
				return target
			}
		}
		return labels.EmptyLabels()
	}
	now, _ := p.out.Targets() // without Run
	exe, _ := os.Executable()
	cwd, _ := os.Getwd()
	me, err := user.Current()
	if err != nil {
		t.Skip(err)
	}
	own := ofPID(now, os.Getpid())
	for name, want := range map[string]string{
		processExeLabel: exe, processCwdLabel: cwd, processCommandlineLabel: strings.Join(os.Args, " "),
		processUIDLabel: me.Uid, processUsernameLabel: me.Username,
	} {
		if got := own.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	run(t, p)
	cat := exec.Command("cat")
	cat.Dir = t.TempDir()
	in, err := cat.StdinPipe()
	if err == nil {
		err = cat.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	await(t, p.out, func(targets []Target) bool {
		child := ofPID(targets, cat.Process.Pid)
		return child.Get(processCwdLabel) == cat.Dir && child.Get(processCommandlineLabel) == "cat"
	})
	in.Close()
	if err := cat.Wait(); err != nil {
		t.Fatal(err)
	}
	await(t, p.out, func(targets []Target) bool { return ofPID(targets, cat.Process.Pid).IsEmpty() })
}

func TestProcessesThatAreNeverReadAreRejected(t *testing.T) {
	c := processConfig()
	c.RefreshInterval = -1
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "not positive") {
		t.Error(err)
	}
}

// FuzzCgroup checks that a container's id is one, and is in the text, and that labels
// are valid.
func FuzzCgroup(f *testing.F) {
	f.Add("0::/docker-" + containerA + ".scope\n")
	f.Add("Uid:\t1 2\n\x00a\x00\xff\n")
	id := regexp.MustCompile(`^[0-9a-f]{64}$`)
	f.Fuzz(func(t *testing.T, text string) {
		if got := containerID(text); got != "" && (!id.MatchString(got) || !strings.Contains(text, "/"+got) && !strings.Contains(text, "-"+got)) {
			t.Fatalf("container %q", got)
		}
		if path := cgroupPath(text); strings.Contains(path, "\n") || !utf8.ValidString(path) {
			t.Fatalf("path %q", path)
		}
		if line := commandline(text); strings.Contains(line, "\x00") || !utf8.ValidString(line) {
			t.Fatalf("command line %q", line)
		}
		if uid, ok := realUID(text); ok == (uid == "") || strings.ContainsAny(uid, " \t\n") {
			t.Fatalf("uid %q, %t", uid, ok)
		}
	})
}
