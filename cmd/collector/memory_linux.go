package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// settled is when the start is over, along with what only the start needs.
const settled = 10 * time.Second

// releaseStart gives back, once the program has settled, the pages of its own file that
// are in memory, and, where permitted, makes the system drop them, too. Most of them were
// touched by the start alone; the others come back as they are used, each by itself: what
// isn't used isn't read or mapped along with its neighbors.
func releaseStart() {
	time.AfterFunc(settled, func() {
		maps, err := os.Open("/proc/self/maps")
		if err != nil {
			return
		}
		defer maps.Close()
		program, err := os.Readlink("/proc/self/exe")
		if err != nil {
			return
		}
		for lines := bufio.NewScanner(maps); lines.Scan(); {
			var from, to uintptr
			var mode string
			if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); err != nil {
				return
			}
			// Pages that can't have been written belong to the file.
			if strings.HasSuffix(lines.Text(), program) && !strings.Contains(mode, "w") {
				for _, advice := range []uintptr{unix.MADV_RANDOM, unix.MADV_PAGEOUT, unix.MADV_DONTNEED} {
					_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, advice)
				}
			}
		}
	})
}
