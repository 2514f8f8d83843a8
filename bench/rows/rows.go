// Package rows measures: it makes one program after another do the same work, and reads
// what that has cost each of them.
package rows

import (
	"fmt"
	"slices"
	"time"

	"collector-bench/contender"
)

// Options say what is measured, and how.
type Options struct {
	Self         string   // the benchmark's own binary
	Bin          string   // the folder of the programs
	Who          []string // names of programs; empty: all
	Rows         []string // kinds of work; empty: all
	Compressions []string // empty: those that each kind of work has
	Targets      int
	Series       int     // of each target
	Rate         float64 // items a second; 0: what each kind of work has
	Duration     time.Duration
	Runs         int
}

// How much work there is where no rate is given, a second.
const (
	spansRate    = 20_000
	linesRate    = 2_000 // of each container
	profilesRate = 50
)

const (
	// chatty and idle are how many containers there are.
	chatty, idle = 10, 20
	// lineSize is the bytes of a log line.
	lineSize = 200
	// idleDuration is the minimum: what costs so little has to be measured longer.
	idleDuration = 20 * time.Second
	// pageEvery is how often pages are asked for, and pagesDuration for how long at
	// least: what one costs is too little for /proc to count.
	pageEvery     = 15 * time.Second
	pagesDuration = 4 * pageEvery
	// settled is when the programs have started, and the collector has also given back
	// the memory that only its start needs.
	settled = 12 * time.Second
)

// row is one kind of work, which has the name that the table shows.
type row struct {
	name        string
	kind        string
	unit        string
	compression string
	duration    time.Duration
	rate        float64
}

// kinds are all kinds of work, in the order of the table.
func kinds() []string {
	return []string{contender.Scrape, contender.OTLP, contender.Logs, contender.Profiles, contender.Idle, contender.Host, contender.Containers, contender.Engine}
}

// list returns the rows that o asks for.
func list(o Options) ([]row, error) {
	for _, kind := range o.Rows {
		if !slices.Contains(kinds(), kind) {
			return nil, fmt.Errorf("row %q: want some of %v", kind, kinds())
		}
	}
	var out []row
	for _, kind := range kinds() {
		if len(o.Rows) == 0 || slices.Contains(o.Rows, kind) {
			out = append(out, rowsOf(kind, o)...)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("compressions %v: no row has any of them", o.Compressions)
	}
	return out, nil
}

func rowsOf(kind string, o Options) []row {
	rate := func(otherwise float64) float64 {
		if o.Rate > 0 {
			return o.Rate
		}
		return otherwise
	}
	switch kind {
	case contender.Scrape:
		return compressed(o, row{kind: kind, unit: "sample", duration: o.Duration,
			name: fmt.Sprintf("scrape %d × %d series / 1 s → remote write", o.Targets, o.Series)}, "snappy", "zstd")
	case contender.OTLP:
		r := row{kind: kind, unit: "span", duration: o.Duration, rate: rate(spansRate)}
		r.name = fmt.Sprintf("OTLP gRPC → gRPC, %.0f spans/s", r.rate)
		return compressed(o, r, "none", "gzip")
	case contender.Logs:
		r := row{kind: kind, unit: "line", duration: o.Duration, rate: rate(linesRate)}
		r.name = fmt.Sprintf("logs through the Engine's API, %d containers × %.0f lines/s", chatty, r.rate)
		return []row{r}
	case contender.Profiles:
		r := row{kind: kind, unit: "profile", duration: o.Duration, rate: rate(profilesRate)}
		r.name = fmt.Sprintf("profiles, %.0f/s", r.rate)
		return []row{r}
	case contender.Host:
		return []row{{kind: kind, unit: "page", duration: max(o.Duration, pagesDuration), name: "metrics of the host, a page / 15 s"}}
	case contender.Containers:
		return []row{{kind: kind, unit: "page", duration: max(o.Duration, pagesDuration), name: fmt.Sprintf("metrics of %d containers, a page / 15 s", idle)}}
	case contender.Engine:
		return []row{{kind: kind, unit: "page", duration: max(o.Duration, pagesDuration), name: fmt.Sprintf("the same through the Engine's API, %d containers", idle)}}
	default:
		return []row{{kind: kind, unit: "line", duration: max(o.Duration, idleDuration), rate: 1,
			name: fmt.Sprintf("idle, %d containers × 1 line/s, all parts on", idle)}}
	}
}

// compressed is r once for each compression that it has and o asks for.
func compressed(o Options, r row, all ...string) []row {
	var out []row
	for _, compression := range all {
		if len(o.Compressions) > 0 && !slices.Contains(o.Compressions, compression) {
			continue
		}
		each := r
		each.compression = compression
		each.name += ", " + compression
		out = append(out, each)
	}
	return out
}

// contenders returns the programs that o asks for.
func contenders(o Options) ([]contender.Contender, error) {
	var names []string
	var out []contender.Contender
	for _, c := range contender.All(o.Bin) {
		names = append(names, c.Name)
		if len(o.Who) == 0 || slices.Contains(o.Who, c.Name) {
			out = append(out, c)
		}
	}
	for _, who := range o.Who {
		if !slices.Contains(names, who) {
			return nil, fmt.Errorf("program %q: want some of %v", who, names)
		}
	}
	return out, nil
}
