// Command app is what runs inside test containers: it writes numbered lines
// and serves numbered metrics pages.
package main

import (
	"bufio"
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
	streams := flag.String("streams", "stdout", "streams to write to, separated by commas")
	interval := flag.Duration("interval", 0, "pause after each line")
	sizes := flag.String("sizes", "60", "sizes of the lines in bytes, in turn, separated by commas")
	serve := flag.String("serve", "", "address to serve /metrics on")
	stay := flag.Bool("stay", false, "stay until a signal comes")
	exit := flag.Int("exit", 0, "exit code")
	flag.Parse()

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	if *serve != "" {
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
		writers.Go(func() { write(out, stream, *first, *lines, *interval, parse(*sizes)) })
	}
	writers.Wait()
	if *stay || *serve != "" {
		select {}
	}
	os.Exit(*exit)
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

func write(out io.Writer, stream string, first, lines int, interval time.Duration, sizes []int) {
	w := bufio.NewWriterSize(out, 64<<10)
	for seq := first; seq < first+lines; seq++ {
		fmt.Fprintln(w, workload.Line(stream, seq, sizes[seq%len(sizes)]))
		if interval > 0 {
			w.Flush()
			time.Sleep(interval)
		}
	}
	w.Flush()
}

func serveMetrics(address string) {
	var scrapes atomic.Int64
	http.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		io.WriteString(w, workload.Page(int(scrapes.Add(1))))
	})
	log.Fatal(http.ListenAndServe(address, nil))
}
