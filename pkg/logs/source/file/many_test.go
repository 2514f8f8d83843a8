package file

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"collector/pkg/logs/logstest"
)

// heap is the memory in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Ten thousand files are read as they grow, and each costs little memory.
func TestTenThousandFiles(t *testing.T) {
	const files, mostBytes = 10_000, 16 << 10
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < files+200 {
		t.Skipf("a process may open %d files: %v", limit.Cur, err)
	}
	b := newBench(t)
	before := heap()
	var names, want []string
	for i := range files {
		name := fmt.Sprintf("%d.log", i)
		b.write(name, name+"\n")
		names, want = append(names, name), append(want, name)
	}
	b.target(names...)
	b.start()
	// A busy machine takes its time.
	logstest.Until(t, "all are read", func() bool { return len(b.sink.Lines()) == files }, 4*time.Minute, func() string {
		return fmt.Sprintf("%d are", len(b.sink.Lines()))
	})
	for i := 0; i < files; i += 100 {
		b.append(names[i], "more of "+names[i]+"\n")
		want = append(want, "more of "+names[i])
	}
	b.until("what is new is read", func() bool { return len(b.sink.Lines()) >= len(want) })
	got := b.sink.Lines()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d lines have come, %d are wanted", len(got), len(want))
	}
	each := (heap() - before) / files
	if t.Logf("%d bytes of memory for each file", each); each > mostBytes {
		t.Errorf("each file costs %d bytes of memory", each)
	}
}
