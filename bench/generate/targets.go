package generate

import (
	"io"
	"net"
	"net/http"
	"sync"

	"collector-bench/control"
	"collector-bench/wire"
)

// target serves one metrics page.
type target struct {
	mu     sync.Mutex
	page   *wire.Page
	number uint64
	buffer []byte
	stop   bool
	total  Total
}

// ServeHTTP serves the next page, uncompressed. A page counts once it was written whole.
// After a stop they have nothing that counts, and no error, so that failed scrapes are
// only those that took too long.
func (t *target) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stop {
		io.WriteString(w, "stopped 1\n")
		return
	}
	t.number++
	t.buffer = t.page.Append(t.buffer[:0], t.number)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	if _, err := w.Write(t.buffer); err != nil {
		t.total.Failures++
		return
	}
	t.total.Items += uint64(t.page.Series())
	t.total.Sum += t.number
}

func (t *target) end() Total {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stop = true
	return t.total
}

// Targets is the process that serves so many targets of so many series, each on
// an address of its own.
func Targets(targets, series int) error {
	var hello control.Hello
	var all []*target
	for n := range targets {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		t := &target{page: wire.NewPage(n, series)}
		all = append(all, t)
		hello.Addresses = append(hello.Addresses, listener.Addr().String())
		go http.Serve(listener, t)
	}
	questions := http.NewServeMux()
	questions.HandleFunc("POST "+Stop, func(w http.ResponseWriter, _ *http.Request) {
		var sum Total
		for _, t := range all {
			one := t.end()
			sum.Items += one.Items
			sum.Sum += one.Sum
			sum.Failures += one.Failures
		}
		control.Answer(w, sum)
	})
	return control.Serve(hello, questions)
}
