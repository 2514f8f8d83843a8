package workload

import (
	"fmt"
	"strings"
)

// TraceFirstLine is a regular expression that matches the first line of every
// trace, and no other line.
const TraceFirstLine = `^(\d{4}-\d{2}-\d{2}T|ERROR:)`

// traceLines is how many lines a trace has.
const traceLines = 40

// Trace is a stack trace of 40 lines, without the last line end: odd numbers are from a
// Java program, even ones from a Python program.
func Trace(seq int) string {
	if seq%2 == 0 {
		return pythonTrace(seq)
	}
	return javaTrace(seq)
}

func javaTrace(seq int) string {
	lines := []string{
		fmt.Sprintf("2026-01-02T03:04:05.678Z ERROR [worker-1] trace=%d request failed", seq),
		fmt.Sprintf("java.lang.IllegalStateException: no connection for %d", seq),
	}
	for i := range traceLines - 4 {
		if i == traceLines/2 {
			lines = append(lines, fmt.Sprintf("Caused by: java.io.IOException: %d was reset", seq))
		}
		lines = append(lines, fmt.Sprintf("\tat com.example.Layer%d.call(Layer%d.java:%d)", i, i, seq))
	}
	return strings.Join(append(lines, fmt.Sprintf("\t... %d more", seq)), "\n")
}

func pythonTrace(seq int) string {
	lines := []string{
		fmt.Sprintf("ERROR:app:trace=%d Exception on /error [GET]", seq),
		"Traceback (most recent call last):",
	}
	for i := range (traceLines - 4) / 2 {
		lines = append(lines, fmt.Sprintf("  File \"/app/layer%d.py\", line %d, in call", i, seq), fmt.Sprintf("    return layer%d.call(%d)", i+1, seq))
	}
	return strings.Join(append(lines, "During the handling of the above:", fmt.Sprintf("ValueError: %d", seq)), "\n")
}
