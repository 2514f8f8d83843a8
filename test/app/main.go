// Command app is what runs inside test containers: it writes numbered lines
// and serves numbered metrics pages.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"collector/test/workload"
)

func main() {
	lines := flag.Int("lines", 0, "lines to write to each stream")
	first := flag.Int("first", 1, "number of the first line")
	rerun := flag.Int("rerun", -1, "lines to write to each stream when the container is started again, which go on in number; -1: lines, from the first on")
	exact := flag.Bool("exact", false, "cut lines to their sizes, too")
	nul := flag.Bool("nul", false, "write NUL bytes in the place of dots")
	crlf := flag.Bool("crlf", false, "end lines in a carriage return and a newline")
	traces := flag.Int("traces", 0, "traces to write to stderr, line by line")
	traceInterval := flag.Duration("trace-interval", time.Millisecond, "pause after each line of a trace")
	streams := flag.String("streams", "stdout", "streams to write to, separated by commas")
	interval := flag.Duration("interval", 0, "pause after each burst of lines")
	burst := flag.Int("burst", 1, "lines between two pauses")
	sizes := flag.String("sizes", "60", "sizes of the lines in bytes, in turn, separated by commas")
	serve := flag.String("serve", "", "address to serve /metrics on")
	answer := flag.String("answer", "", "serve this in the place of metrics: html, login, tls, slow or garbage")
	stay := flag.Bool("stay", false, "stay until a signal comes")
	exit := flag.Int("exit", 0, "exit code")
	flag.Parse()

	if *rerun >= 0 {
		*first, *lines = proceed(*first, *lines, *rerun)
	}

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	switch {
	case *serve != "" && *answer != "":
		go serveAnswers(*serve, *answer)
	case *serve != "":
		go serveMetrics(*serve)
	}
	go func() {
		<-signals
		os.Exit(*exit)
	}()
	var writers sync.WaitGroup
	for stream := range strings.SplitSeq(*streams, ",") {
		out := io.Writer(os.Stdout)
		if stream == "stderr" {
			out = os.Stderr
		}
		if *nul {
			out = replacing{out, ".", "\x00"}
		}
		if *crlf {
			out = replacing{out, "\n", "\r\n"}
		}
		writers.Go(func() { write(out, stream, *first, *lines, *burst, *interval, parse(*sizes), *exact) })
	}
	writers.Go(func() { writeTraces(*traces, *traceInterval) })
	writers.Wait()
	if *stay || *serve != "" {
		select {}
	}
	os.Exit(*exit)
}

// replacing writes one text instead of another.
type replacing struct {
	to        io.Writer
	text, new string
}

func (w replacing) Write(p []byte) (int, error) {
	if _, err := w.to.Write(bytes.ReplaceAll(p, []byte(w.text), []byte(w.new))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// proceed returns the first line and the number of lines of this run. The next
// run's first line is kept in the container's file system.
func proceed(first, lines, rerun int) (int, int) {
	const file = "/next"
	if data, err := os.ReadFile(file); err == nil {
		if first, err = strconv.Atoi(string(data)); err != nil {
			log.Fatalf("%s: %v", file, err)
		}
		lines = rerun
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(first+lines)), 0o644); err != nil {
		log.Fatal(err)
	}
	return first, lines
}

func parse(sizes string) []int {
	var out []int
	for s := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			log.Fatalf("sizes: %v", err)
		}
		out = append(out, n)
	}
	return out
}

func write(out io.Writer, stream string, first, lines, burst int, interval time.Duration, sizes []int, exact bool) {
	w := bufio.NewWriterSize(out, 64<<10)
	for seq := first; seq < first+lines; seq++ {
		size := sizes[seq%len(sizes)]
		line := workload.Line(stream, seq, size)
		if exact {
			line = line[:min(size, len(line))]
		}
		fmt.Fprintln(w, line)
		if interval > 0 && (seq-first+1)%burst == 0 {
			w.Flush()
			time.Sleep(interval)
		}
	}
	w.Flush()
}

func writeTraces(traces int, interval time.Duration) {
	for seq := 1; seq <= traces; seq++ {
		for line := range strings.Lines(workload.Trace(seq) + "\n") {
			io.WriteString(os.Stderr, line)
			time.Sleep(interval)
		}
	}
}

func serveMetrics(address string) {
	var scrapes atomic.Int64
	http.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		io.WriteString(w, workload.Page(int(scrapes.Add(1))))
	})
	log.Fatal(http.ListenAndServe(address, nil))
}
