package main

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// memoryShare is the part of a container's memory limit that the Go runtime
// may use before it collects harder. The rest is for what it does not count.
const memoryShare = 0.8

// gcPercent trades CPU time for memory. Most of the heap at rest is
// tables that live long, so that a smaller margin above it costs little.
const gcPercent = 50

// limitMemory fits the runtime to the container's memory limit. GOMEMLIMIT and
// GOGC, if set, win.
func limitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// cgroup v1 writes "no limit" as a number near 2^63.
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64); err == nil && limit < 1<<50 {
			debug.SetMemoryLimit(int64(float64(limit) * memoryShare))
		}
		return
	}
}
