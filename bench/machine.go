package main

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"collector-bench/contender"
)

// machine describes the machine and the programs that are measured.
func machine(bin string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s, %d cores, %s of memory, Linux %s, %s; load average before: %s\n", valueOf("/proc/cpuinfo", "model name"), runtime.NumCPU(),
		valueOf("/proc/meminfo", "MemTotal"), strings.TrimSpace(read("/proc/sys/kernel/osrelease")), runtime.Version(), load())
	for _, c := range contender.All(bin) {
		info, err := os.Stat(c.Binary)
		if err != nil {
			fmt.Fprintf(&out, "%s: not built\n", c.Name)
			continue
		}
		fmt.Fprintf(&out, "%s: %.1f MB, %s\n", c.Name, float64(info.Size())/1e6, version(c))
	}
	return out.String()
}

// version returns the version of the module that c was built from, or what c says where it
// was built from a work tree.
func version(c contender.Contender) string {
	if c.Module == "" {
		text, _ := exec.Command(c.Binary, "--version").Output()
		first, _, _ := strings.Cut(string(text), "\n")
		return first
	}
	info, err := buildinfo.ReadFile(c.Binary)
	if err != nil {
		return "of an unknown version"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == c.Module {
			return m.Path + " " + m.Version
		}
	}
	return "without " + c.Module
}

func read(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

// valueOf is the first value in a file of lines `name: value`.
func valueOf(path, name string) string {
	for line := range strings.Lines(read(path)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func load() string { return strings.Join(strings.Fields(read("/proc/loadavg"))[:3], " ") }
