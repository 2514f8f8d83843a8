package wire

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// staleBits is the value by which Prometheus marks that a series has ended.
const staleBits = 0x7ff0000000000002

// pagesName is the series of a page that carries the page's number, so that
// lost pages and repeated ones show.
const pagesName = "bench_pages_total"

// Sample is one sample of a page. The name is valid only during the call.
type Sample struct {
	Name   []byte
	Value  float64
	Millis int64 // since the epoch
}

// Counts reports whether s is of a page: neither a mark that its series has
// ended nor one of the series that a scrape adds of itself.
func (s Sample) Counts() bool {
	return math.Float64bits(s.Value) != staleBits && bytes.HasPrefix(s.Name, []byte("bench_"))
}

// Failed reports whether s says that a scrape has failed, as by a timeout.
func (s Sample) Failed() bool { return string(s.Name) == "up" && s.Value == 0 }

// Number is the page's number if s carries it, else 0.
func (s Sample) Number() uint64 {
	if string(s.Name) != pagesName {
		return 0
	}
	return uint64(s.Value)
}

// Samples calls each with every sample of a prometheus.WriteRequest.
func Samples(request []byte, each func(Sample)) error {
	return messages(request, 1, func(series []byte) error { return seriesSamples(series, each) })
}

func seriesSamples(series []byte, each func(Sample)) error {
	var s Sample
	for len(series) > 0 {
		f, rest, err := next(series)
		if err != nil {
			return err
		}
		series = rest
		if f.typ != protowire.BytesType {
			continue
		}
		switch f.num {
		case 1:
			if s.Name == nil { // the name is the first label: they are sorted
				if s.Name, err = labelValue(f.bytes); err != nil {
					return err
				}
			}
		case 2:
			if err := sample(f.bytes, &s); err != nil {
				return err
			}
			each(s)
		}
	}
	return nil
}

// labelValue is the value of a Label; empty, not nil, where it has none.
func labelValue(label []byte) ([]byte, error) {
	value := []byte{}
	err := messages(label, 2, func(b []byte) error { value = b; return nil })
	return value, err
}

func sample(b []byte, s *Sample) error {
	s.Value, s.Millis = 0, 0
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		switch f.num {
		case 1:
			s.Value = math.Float64frombits(f.number)
		case 2:
			s.Millis = int64(f.number)
		}
	}
	return nil
}

// Page is a metrics page, of which only the values change from scrape to scrape.
type Page struct {
	text  []byte   // everything but the values
	lines []line   // one for each series
	moves []uint64 // the current values
}

type line struct {
	end   int    // of its text up to the value
	every uint64 // in how many scrapes the value changes; 0: never
	float bool
}

// NewPage makes the page of target with that many series, its number among
// them: HTTP counters, gauges and histograms as client libraries expose them.
func NewPage(target, series int) *Page {
	p := &Page{}
	p.add(false, 1, "# HELP %s Pages served.\n# TYPE %s counter\n%s ", pagesName, pagesName, pagesName)
	for family := 0; len(p.lines) < series; family++ {
		name := fmt.Sprintf("bench_http_%s_%d", [...]string{"requests_total", "in_flight_requests", "response_size_bytes_sum"}[family%3], family)
		head := fmt.Sprintf("# HELP %s What the service did, by method, path and status.\n# TYPE %s %s\n", name, name, [...]string{"counter", "gauge", "counter"}[family%3])
		for i := 0; i < 20 && len(p.lines) < series; i++ {
			// A third of the series is busy, a third changes now and then, a third is
			// idle.
			every := [...]uint64{1, 10, 0}[i%3]
			p.add(family%3 == 2, every, "%s%s{service=\"shop-%d\",method=%q,path=\"/api/v1/items/%d\",status=\"%d\",zone=\"eu-central-1%c\"} ",
				head, name, target%10, [...]string{"GET", "POST", "PUT"}[i%3], i, 200+100*(i%4), 'a'+rune(i%3))
			head = ""
		}
	}
	return p
}

func (p *Page) add(float bool, every uint64, format string, args ...any) {
	p.text = fmt.Appendf(p.text, format, args...)
	p.lines = append(p.lines, line{end: len(p.text), every: every, float: float})
	p.moves = append(p.moves, uint64(len(p.lines)*37%1000))
}

// Series is how many samples the page has.
func (p *Page) Series() int { return len(p.lines) }

// Append appends the page with that number, counted from 1, to b. Pages are
// made in the order of their numbers.
func (p *Page) Append(b []byte, number uint64) []byte {
	start := 0
	for i, l := range p.lines {
		b = append(b, p.text[start:l.end]...)
		start = l.end
		if l.every > 0 && number%l.every == 0 {
			p.moves[i] += uint64(i%7) + number%3
		}
		switch {
		case i == 0:
			b = strconv.AppendUint(b, number, 10)
		case l.float:
			b = strconv.AppendFloat(b, float64(p.moves[i])*1.37, 'g', -1, 64)
		default:
			b = strconv.AppendUint(b, p.moves[i], 10)
		}
		b = append(b, '\n')
	}
	return b
}
