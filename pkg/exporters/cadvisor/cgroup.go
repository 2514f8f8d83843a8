package cadvisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// hierarchy is where the host's cgroups are.
type hierarchy struct {
	unified bool              // cgroup v2
	roots   map[string]string // the folder of each controller; with v2 of "" alone
}

// controllers are the ones of cgroup v1 that are read.
func controllers() []string {
	return []string{"cpu", "cpuacct", "cpuset", "memory", "blkio", "pids", "hugetlb"}
}

var errNoCgroups = errors.New("the host's cgroups are not here: mount /sys, or /sys/fs/cgroup, of the host")

// findHierarchy looks for the host's cgroups in folders, the first of which counts
// that has any. What a container sees without a mount is its own cgroup: that has
// neither what the host's has nor another cgroup below it.
func findHierarchy(folders []string) (hierarchy, error) {
	for _, folder := range folders {
		if exists(path.Join(folder, "cgroup.controllers")) {
			if !exists(path.Join(folder, "cgroup.events")) || hasFolders(folder) {
				return hierarchy{unified: true, roots: map[string]string{"": folder}}, nil
			}
			continue
		}
		roots := map[string]string{}
		for _, controller := range controllers() {
			root := path.Join(folder, controller)
			if exists(path.Join(root, "release_agent")) || exists(path.Join(root, "cgroup.procs")) && hasFolders(root) {
				roots[controller] = root
			}
		}
		if roots["memory"] != "" || roots["cpu"] != "" {
			return hierarchy{roots: roots}, nil
		}
	}
	return hierarchy{}, errNoCgroups
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func hasFolders(folder string) bool {
	entries, _ := os.ReadDir(folder)
	return slices.ContainsFunc(entries, fs.DirEntry.IsDir)
}

// maxCgroups and maxDepth bound what is read of a machine.
const (
	maxCgroups = 20_000
	maxDepth   = 64
)

// groups are the names of all cgroups, sorted: "/", "/docker/…". With v1, each is
// known by at least one controller.
func (h hierarchy) groups() ([]string, error) {
	names := map[string]bool{"/": true}
	walked := map[string]bool{}
	for _, root := range h.roots {
		if real, err := resolve(root); err == nil && !walked[real] { // cpu and cpuacct are often one
			walked[real] = true
			if err := walk(real, "/", 0, names); err != nil {
				return nil, err
			}
		}
	}
	out := make([]string, 0, len(names))
	for name := range names {
		out = append(out, name)
	}
	slices.Sort(out)
	return out, nil
}

// resolve follows a link, such as cpu -> cpu,cpuacct.
func resolve(name string) (string, error) {
	target, err := os.Readlink(name)
	if err != nil || path.IsAbs(target) {
		return name, nil
	}
	return path.Join(path.Dir(name), target), nil
}

func walk(folder, name string, depth int, into map[string]bool) error {
	// The kernel counts the folders in a cgroup's folder among its links.
	var st syscall.Stat_t
	if depth > maxDepth || syscall.Stat(folder, &st) != nil || st.Nlink == 2 {
		return nil
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil // it has just ended, or may not be read
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		if len(into) >= maxCgroups {
			return fmt.Errorf("there are more than %d cgroups", maxCgroups)
		}
		below := path.Join(name, entry.Name())
		into[below] = true
		if err := walk(path.Join(folder, entry.Name()), below, depth+1, into); err != nil {
			return err
		}
	}
	return nil
}

// cgroup is one cgroup.
type cgroup struct {
	hierarchy
	name string
}

// folder is where a controller has the cgroup; "" if it has none there.
func (c cgroup) folder(controller string) string {
	if c.unified {
		controller = ""
	}
	if root := c.roots[controller]; root != "" {
		return path.Join(root, c.name)
	}
	return ""
}

// read reads a file of a controller; ok reports whether there is one.
func (c cgroup) read(controller, file string) (text []byte, ok bool) {
	folder := c.folder(controller)
	if folder == "" {
		return nil, false
	}
	text, err := readFile(path.Join(folder, file))
	return text, err == nil
}

// number reads a file that is one number.
func (c cgroup) number(controller, file string) (value uint64, ok bool) {
	text, ok := c.read(controller, file)
	if !ok {
		return 0, false
	}
	return parseNumber(text)
}

// identity changes when the cgroup ends and another of its name is made.
func (c cgroup) identity() string {
	controller := "memory"
	if c.folder(controller) == "" {
		controller = "cpu"
	}
	var st syscall.Stat_t
	if syscall.Stat(c.folder(controller), &st) != nil {
		return ""
	}
	return fmt.Sprint(st.Dev, st.Ino)
}

// made is when the cgroup was made, in Unix seconds: the earliest time of its
// folders, and of a file in each that does not change when a cgroup is made in it.
func (c cgroup) made() (seconds int64, ok bool) {
	file := "cgroup.clone_children"
	if c.unified {
		file = "cgroup.events"
	}
	for controller := range c.roots {
		folder := c.folder(controller)
		for _, name := range []string{folder, path.Join(folder, file)} {
			if info, err := os.Stat(name); err == nil && (!ok || info.ModTime().Unix() < seconds) {
				seconds, ok = info.ModTime().Unix(), true
			}
		}
	}
	return seconds, ok
}

// ofContainer finds the ID of a container in the name of a cgroup: docker-ID.scope,
// libpod-ID.scope or ID alone.
var ofContainer = regexp.MustCompile(`[a-f0-9]{64}`)

func containerID(name string) string {
	if strings.HasSuffix(name, ".mount") {
		return ""
	}
	return ofContainer.FindString(path.Base(name))
}
