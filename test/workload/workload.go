// Package workload is what test containers produce, as a function of a sequence number,
// so that a test knows what must have arrived.
package workload

import (
	"fmt"
	"strings"
)

// Line is log line seq of one output stream, padded to size bytes if it is shorter. The
// padding differs from line to line, so that bytes of different lines cannot be confused.
func Line(stream string, seq, size int) string {
	head := fmt.Sprintf("seq=%d stream=%s ", seq, stream)
	if len(head) >= size {
		return strings.TrimSuffix(head, " ")
	}
	pad := fmt.Sprintf("%d.", seq)
	return head + strings.Repeat(pad, (size-len(head))/len(pad)+1)[:size-len(head)]
}

// Page is the exposition of a container's metrics at its nth scrape, from 1.
func Page(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# HELP workload_scrapes_total Scrapes of this page.\n# TYPE workload_scrapes_total counter\nworkload_scrapes_total %d\n", n)
	fmt.Fprintf(&b, "# HELP workload_value A gauge.\n# TYPE workload_value gauge\n")
	for i := range 10 {
		fmt.Fprintf(&b, "workload_value{index=\"%d\",text=\"with \\\"quotes\\\" and \\\\\"} %g\n", i, Value(n, i))
	}
	fmt.Fprintf(&b, "# TYPE workload_seconds histogram\n")
	for i, le := range []string{"0.1", "1", "+Inf"} {
		fmt.Fprintf(&b, "workload_seconds_bucket{le=%q} %d\n", le, n*(i+1))
	}
	fmt.Fprintf(&b, "workload_seconds_sum %g\nworkload_seconds_count %d\n", float64(n)*0.75, n*3)
	return b.String()
}

// Value is sample index of workload_value at the nth scrape.
func Value(n, index int) float64 { return float64(n)*1.5 - float64(index)/8 }
