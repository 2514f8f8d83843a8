package cadvisor

import (
	"bytes"
	"os"
	"path"
	"strconv"
	"strings"
)

// procfs is the host's /proc; "" if it is not here.
type procfs string

func (p procfs) read(pid int, file string) (text []byte, ok bool) {
	if p == "" || pid <= 0 {
		return nil, false
	}
	text, err := readFile(path.Join(string(p), strconv.Itoa(pid), file))
	return text, err == nil
}

// runs reports whether a process is one of a container. Where /proc is not the host's, the
// number may be that of another process.
func (p procfs) runs(pid int, containerID string) bool {
	text, ok := p.read(pid, "cgroup")
	return ok && bytes.Contains(text, []byte(containerID))
}

// members are the processes, or threads, of a cgroup.
func (c cgroup) members(file string) []int {
	for _, controller := range []string{"cpu", "memory", "pids"} {
		if text, ok := c.read(controller, file); ok {
			numbers := parseNumbers(text)
			out := make([]int, len(numbers))
			for i, n := range numbers {
				out[i] = int(n)
			}
			return out
		}
	}
	return nil
}

func (c cgroup) processes() []int { return c.members("cgroup.procs") }

func (c cgroup) threadIDs() []int {
	if c.unified {
		return c.members("cgroup.threads")
	}
	return c.members("tasks")
}

// taskStates are the states of threads, as the metric has them, in the order of its
// counts.
func taskStates() []string {
	return []string{"sleeping", "running", "stopped", "uninterruptible", "iowaiting"}
}

// parseTaskState reads the state from /proc/PID/stat: an index of taskStates, -1 for
// others. The name of the program before it may have any text in it.
func parseTaskState(text []byte) int {
	_, rest, found := cutLast(string(text), ") ")
	if !found || rest == "" {
		return -1
	}
	switch rest[0] {
	case 'S', 'I':
		return 0
	case 'R':
		return 1
	case 'T', 't':
		return 2
	case 'D':
		return 3
	}
	return -1
}

func cutLast(text, separator string) (before, after string, found bool) {
	at := strings.LastIndex(text, separator)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(separator):], true
}

// states counts threads by state.
func (p procfs) states(threads []int) []uint64 {
	out := make([]uint64, len(taskStates()))
	for _, id := range threads {
		if text, ok := p.read(id, "stat"); ok {
			if state := parseTaskState(text); state >= 0 {
				out[state]++
			}
		}
	}
	return out
}

// descriptors counts the open files of processes, and the sockets among them.
func (p procfs) descriptors(processes []int) (files, sockets uint64) {
	for _, pid := range processes {
		folder := path.Join(string(p), strconv.Itoa(pid), "fd")
		entries, _ := os.ReadDir(folder)
		files += uint64(len(entries))
		for _, entry := range entries {
			if target, err := os.Readlink(path.Join(folder, entry.Name())); err == nil && strings.HasPrefix(target, "socket:") {
				sockets++
			}
		}
	}
	return files, sockets
}

// ulimit is a soft limit of a process, -1 if there is none.
type ulimit struct {
	name string
	soft int64
}

// parseLimits reads the limits of /proc/PID/limits that cAdvisor exposes.
func parseLimits(text []byte) []ulimit {
	var out []ulimit
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, "Max open files ")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 2 {
			continue
		}
		soft, err := strconv.ParseInt(fields[0], 10, 64)
		if fields[0] == "unlimited" {
			soft, err = -1, nil
		}
		if err == nil {
			out = append(out, ulimit{"max_open_files", soft})
		}
	}
	return out
}

// schedule is /proc/PID/schedstat: nanoseconds on a CPU and waiting for one, and time
// slices.
type schedule struct{ run, wait, slices uint64 }

func parseSchedstat(text []byte) (schedule, bool) {
	n := parseNumbers(text)
	if len(n) < 3 {
		return schedule{}, false
	}
	return schedule{n[0], n[1], n[2]}, true
}

// schedules adds up what processes have run, with those that have ended since they were
// last seen.
type schedules struct {
	ended schedule
	alive map[int]schedule
}

func (s *schedules) update(p procfs, processes []int) (total schedule) {
	alive := map[int]schedule{}
	for _, pid := range processes {
		text, _ := p.read(pid, "schedstat")
		now, ok := parseSchedstat(text)
		if !ok {
			continue
		}
		if before, had := s.alive[pid]; had && now.run < before.run { // another of the same number
			s.ended.add(before)
		}
		alive[pid] = now
	}
	for pid, last := range s.alive {
		if _, lives := alive[pid]; !lives {
			s.ended.add(last)
		}
	}
	s.alive, total = alive, s.ended
	for _, now := range alive {
		total.add(now)
	}
	return total
}

func (s *schedule) add(o schedule) {
	s.run += o.run
	s.wait += o.wait
	s.slices += o.slices
}

// referenced is the memory that processes have accessed since the kernel last forgot
// about it, in bytes.
func (p procfs) referenced(processes []int) (total uint64) {
	for _, pid := range processes {
		text, _ := p.read(pid, "smaps_rollup")
		total += parseKilobytes(text)["Referenced"] << 10
	}
	return total
}

// parseKilobytes reads lines "Name:   12 kB".
func parseKilobytes(text []byte) map[string]uint64 {
	out := map[string]uint64{}
	for line := range strings.Lines(string(text)) {
		name, rest, ok := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if !ok || len(fields) != 2 || fields[1] != "kB" {
			continue
		}
		if n, err := strconv.ParseUint(fields[0], 10, 64); err == nil && n < 1<<53 {
			out[strings.TrimSpace(name)] = n
		}
	}
	return out
}
