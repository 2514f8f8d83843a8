// Package proc reads from /proc what a process has cost so far.
package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc/PID/stat: USER_HZ is 100 wherever Go runs.
const tick = 10 * time.Millisecond

// Usage is the cost of one process. Sizes are in bytes.
type Usage struct {
	CPU  time.Duration // user and system time of all threads, ended ones too; whole ticks of 10 ms
	RSS  int64         // resident now, shared pages and mapped files included
	Peak int64         // the highest RSS since the process started
	PSS  int64         // resident now, each shared page divided by those who share it
}

// Read reads the usage of process pid. It fails once the process has ended.
func Read(pid int) (Usage, error) {
	var u Usage
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return u, fmt.Errorf("read usage of process %d: %w", pid, err)
	}
	if u.CPU, err = parseStat(string(stat)); err != nil {
		return u, fmt.Errorf("read usage of process %d: %w", pid, err)
	}
	for _, field := range []struct {
		file, name string
		into       *int64
	}{{"status", "VmRSS", &u.RSS}, {"status", "VmHWM", &u.Peak}, {"smaps_rollup", "Pss", &u.PSS}} {
		text, err := os.ReadFile(filepath.Join(dir, field.file))
		if err != nil {
			return u, fmt.Errorf("read usage of process %d: %w", pid, err)
		}
		if *field.into, err = parseSize(string(text), field.name); err != nil {
			return u, fmt.Errorf("read usage of process %d: %s: %w", pid, field.file, err)
		}
	}
	return u, nil
}

// parseStat returns user and system time from the text of /proc/PID/stat.
func parseStat(text string) (time.Duration, error) {
	// The second field is the name in parentheses, which may contain anything.
	end := strings.LastIndexByte(text, ')')
	fields := strings.Fields(text[end+1:])
	if end < 0 || len(fields) < 13 {
		return 0, fmt.Errorf("stat %q is too short", text)
	}
	var ticks uint64
	for _, field := range fields[11:13] { // utime and stime: fields 14 and 15
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("stat %q: %w", text, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// parseSize returns the bytes on the line `name: N kB`.
func parseSize(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		value, ok := strings.CutPrefix(line, name+":")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("%s is missing", name)
}

// Resident reads only the resident memory of process pid now, in bytes. It is
// cheap, for the process too, which Read's PSS is not.
func Resident(pid int) (int64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, fmt.Errorf("read resident memory of process %d: %w", pid, err)
	}
	return parseSize(string(text), "VmRSS")
}
