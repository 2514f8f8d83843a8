// Package stdin is a source of the lines of standard input, for the program when it
// replaces Promtail.
package stdin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/logs/source/lines"
	"collector/pkg/pipeline"
)

const (
	// bufferSize is how much is read at once.
	bufferSize = 64 << 10
	// maxLine is the length to which lines are cut.
	maxLine = int(16 * component.MiB)
)

// Input is what is read. It outlives the components that read it, which reloads
// replace: what one has not delivered, the next one gets.
type Input struct {
	in    io.Reader
	ended func(error) // called when all has been delivered
	begin sync.Once
	read  chan []line

	mu   sync.Mutex // held by the component that runs
	kept []line     // read and not delivered; guarded by mu
	done bool       // ended has been called; guarded by mu
	err  error      // why no more was read; written before read is closed
}

// line is a line as it was read.
type line struct {
	text  []byte
	size  int64
	whole bool
	time  time.Time
}

// NewInput makes an Input of in. ended is called, once, when all that was read has
// been accepted by the receivers, with the error because of which there is no more.
func NewInput(in io.Reader, ended func(error)) *Input {
	return &Input{in: in, ended: ended, read: make(chan []line)}
}

// run reads lines until the end. What can be read at once is one batch.
func (i *Input) run() {
	defer close(i.read)
	in := bufio.NewReaderSize(i.in, bufferSize)
	var batch []line
	size := 0
	for {
		l, err := readLine(in)
		if len(l.text) > 0 {
			batch, size = append(batch, l), size+len(l.text)
		}
		if len(batch) > 0 && (err != nil || in.Buffered() == 0 || size >= lines.BatchBytes || len(batch) >= lines.BatchLines) {
			i.read <- batch
			batch, size = nil, 0
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				i.err = err
			}
			return
		}
	}
}

// readLine reads a line, of which it keeps what is not too long. The last may have no
// end, and comes with an error.
func readLine(in *bufio.Reader) (l line, err error) {
	for {
		piece, err := in.ReadSlice('\n')
		l.size += int64(len(piece))
		if room := maxLine + 1 - len(l.text); room > 0 {
			l.text = append(l.text, piece[:min(room, len(piece))]...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		l.whole = int64(len(l.text)) == l.size
		if l.whole { // otherwise its end is not there
			l.text = bytes.TrimRight(l.text, "\r\n")
		}
		l.time = time.Now()
		return l, err
	}
}

// Config is the configuration of loki.source.stdin.
type Config struct {
	ForwardTo []pipeline.LogsSink `alloy:"forward_to,attr"`
	Labels    map[string]string   `alloy:"labels,attr,optional"`
}

// Source is loki.source.stdin.
type Source struct {
	input    *Input
	cfg      Config
	opts     component.Options
	rejected prometheus.Counter
}

// Definition is the component loki.source.stdin, which reads in. Configurations can't use
// it: it implements a Promtail that reads standard input.
func Definition(in *Input) component.Definition {
	return component.Define("loki.source.stdin", func(cfg Config, o component.Options) (*Source, error) {
		o = o.WithDefaults()
		rejected := prometheus.NewCounter(prometheus.CounterOpts{
			Name: "loki_source_stdin_rejected_entries_total", Help: "Log entries that a receiver rejected.",
		})
		return &Source{in, cfg, o, rejected}, o.Metrics.Register(rejected)
	}, component.Doc{})
}

// Run delivers lines until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	in := s.input
	in.mu.Lock()
	defer in.mu.Unlock()
	in.begin.Do(func() { go in.run() })
	lset, last := labels.FromMap(s.cfg.Labels), int64(0)
	var batch lines.Batch
	for !in.done {
		if in.kept == nil {
			more := false
			select {
			case in.kept, more = <-in.read:
			case <-ctx.Done():
				return nil
			}
			if !more {
				in.done = true
				in.ended(in.err)
				break
			}
		}
		stream := batch.Open(lset)
		for _, l := range in.kept {
			batch.Text, _, _ = lines.Append(batch.Text, l.text, l.size, l.whole, maxLine)
			last = lines.Time(last, l.time.UnixNano())
			batch.Add(stream, last)
		}
		if lines.Deliver(ctx, s.cfg.ForwardTo, batch.Logs(), s.rejected, s.opts.Logger.Warn) != nil {
			return nil
		}
		batch.Reset()
		in.kept = nil
	}
	<-ctx.Done()
	return nil
}
