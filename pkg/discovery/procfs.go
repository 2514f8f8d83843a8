package discovery

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/prometheus/prometheus/model/labels"
)

// processReader reads what the kernel says of processes.
type processReader struct {
	root   string // where proc is mounted
	labels ProcessLabels
}

// pids are the processes, in the order of their numbers.
func (r processReader) pids() ([]int, error) {
	dir, err := os.Open(r.root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			out = append(out, pid)
		}
	}
	slices.Sort(out)
	return out, nil
}

// ended reports whether an error says that a process has ended, or has no
// executable, as kernel threads have none.
func ended(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

// read sets the labels of one process. users are the names that are known already.
func (r processReader) read(pid int, b *labels.Builder, users map[string]string) error {
	dir := filepath.Join(r.root, strconv.Itoa(pid))
	b.Set(processPIDLabel, strconv.Itoa(pid))
	if r.labels.Exe {
		exe, err := os.Readlink(filepath.Join(dir, "exe"))
		if err != nil {
			return err
		}
		b.Set(processExeLabel, valid(exe))
	}
	if r.labels.Cwd {
		cwd, err := os.Readlink(filepath.Join(dir, "cwd"))
		if err != nil {
			return err
		}
		b.Set(processCwdLabel, valid(cwd))
	}
	if r.labels.Commandline {
		text, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			return err
		}
		b.Set(processCommandlineLabel, commandline(string(text)))
	}
	if r.labels.UID || r.labels.Username {
		if err := r.readUser(dir, b, users); err != nil {
			return err
		}
	}
	if r.labels.ContainerID || r.labels.CgroupPath {
		text, err := os.ReadFile(filepath.Join(dir, "cgroup"))
		if err != nil {
			return err
		}
		if r.labels.ContainerID {
			b.Set(processContainerLabel, containerID(string(text)))
		}
		if r.labels.CgroupPath {
			b.Set(processCgroupLabel, cgroupPath(string(text)))
		}
	}
	return nil
}

// readUser sets the user that a process runs as. One without an entry in the user
// database has no name.
func (r processReader) readUser(dir string, b *labels.Builder, users map[string]string) error {
	text, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return err
	}
	uid, ok := realUID(string(text))
	if !ok {
		return fmt.Errorf("%s has no line Uid", filepath.Join(dir, "status"))
	}
	if r.labels.UID {
		b.Set(processUIDLabel, uid)
	}
	if !r.labels.Username {
		return nil
	}
	name, known := users[uid]
	if !known {
		if u, err := user.LookupId(uid); err == nil {
			name = u.Username
		}
		users[uid] = name
	}
	b.Set(processUsernameLabel, name)
	return nil
}

// realUID is the first number of the line Uid of a file status.
func realUID(status string) (uid string, ok bool) {
	for line := range strings.Lines(status) {
		if rest, found := strings.CutPrefix(line, "Uid:"); found {
			fields := strings.Fields(rest)
			return strings.Join(fields[:min(1, len(fields))], ""), len(fields) > 0
		}
	}
	return "", false
}

// commandline is the arguments of a file cmdline, with spaces between them.
func commandline(text string) string {
	return valid(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == 0 }), " "))
}

// valid is text as the value of a label, which is UTF-8.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// cgroupPath is the lines of a file cgroup: one with cgroup v2, one for each
// controller with v1.
func cgroupPath(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimRight(line, "\r\n"))
	}
	return valid(strings.Join(lines, "|"))
}

// cgroupContainer is the end of a cgroup's path that names a container:
// /docker/ID, docker-ID.scope, cri-containerd-ID.scope …
var cgroupContainer = regexp.MustCompile(`^.*[/-]([0-9a-f]{64})(?:\.|\s*$)`)

// containerID is the container of the first line of a file cgroup that has one.
func containerID(text string) string {
	for line := range strings.Lines(text) {
		if m := cgroupContainer.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			return m[1]
		}
	}
	return ""
}

// containerOf is the id of the container that a target is, or belongs to.
func containerOf(t Target) string {
	if id := t.Get(processContainerLabel); id != "" {
		return id
	}
	if id := t.Get("__meta_kubernetes_pod_container_id"); id != "" {
		for _, runtime := range []string{"docker://", "containerd://", "cri-o://"} {
			if short, ok := strings.CutPrefix(id, runtime); ok {
				return short
			}
		}
		return ""
	}
	return t.Get(metaContainer + "id")
}
