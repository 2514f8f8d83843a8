// Package table turns measurements into what is printed: medians over the runs,
// and ratios between programs that did the same work in the same run.
package table

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Measurement is what one program has cost at one kind of work in one run.
// Sizes are in bytes.
type Measurement struct {
	Row, Who string
	Unit     string // what an item is: sample, span, line, profile

	Items   uint64        // arrived while it was measured
	Elapsed time.Duration // how long it was measured
	CPU     time.Duration // CPU time in it
	Engine  time.Duration // the Docker Engine's
	Wire    uint64        // bytes sent in it

	RSS, PSS int64 // at work: the median of the readings of RSS, the last one of PSS
	Peak     int64 // the highest RSS of all
	Rest     int64 // RSS some seconds after the work has ended
	Ready    time.Duration
	P99      time.Duration // age of items on arrival

	// Problem says what was lost, repeated or damaged; "" when the receiver has
	// counted what the generator has made.
	Problem string
	// Note is what else to know about the work, other than losses.
	Note string
}

// column is a figure of a measurement; not ok where it has none.
type column struct {
	title string
	value func(Measurement) (v float64, ok bool)
	show  func(float64) string
	ratio bool // worth comparing
}

func columns() []column {
	return []column{
		{"µs/item", perItem(func(m Measurement) float64 { return float64(m.CPU) / float64(time.Microsecond) }), figure, true},
		{"% of a core", share(func(m Measurement) time.Duration { return m.CPU }), figure, false},
		{"RSS MiB", size(func(m Measurement) int64 { return m.RSS }), figure, true},
		{"peak", size(func(m Measurement) int64 { return m.Peak }), figure, true},
		{"at rest", size(func(m Measurement) int64 { return m.Rest }), figure, true},
		{"PSS", size(func(m Measurement) int64 { return m.PSS }), figure, false},
		{"wire B/item", perItem(func(m Measurement) float64 { return float64(m.Wire) }), figure, true},
		{"p99", duration(func(m Measurement) time.Duration { return m.P99 }), shortDuration, false},
		{"ready", duration(func(m Measurement) time.Duration { return m.Ready }), shortDuration, false},
		{"dockerd %", share(func(m Measurement) time.Duration { return m.Engine }), figure, false},
	}
}

func perItem(of func(Measurement) float64) func(Measurement) (float64, bool) {
	return func(m Measurement) (float64, bool) { return of(m) / float64(max(m.Items, 1)), m.Items > 0 }
}

func share(of func(Measurement) time.Duration) func(Measurement) (float64, bool) {
	return func(m Measurement) (float64, bool) {
		return 100 * float64(of(m)) / float64(max(m.Elapsed, 1)), of(m) > 0
	}
}

func size(of func(Measurement) int64) func(Measurement) (float64, bool) {
	return func(m Measurement) (float64, bool) { return float64(of(m)) / (1 << 20), of(m) > 0 }
}

func duration(of func(Measurement) time.Duration) func(Measurement) (float64, bool) {
	return func(m Measurement) (float64, bool) { return of(m).Seconds(), of(m) > 0 }
}

// Print prints a table in Markdown: a line for each program at each kind of
// work, and for each but first, the subject, a line with the subject's figures
// divided by its own. A ratio is the median of those of the runs.
func Print(w io.Writer, all []Measurement, subject string) {
	titles := []string{"work", "program"}
	for _, c := range columns() {
		titles = append(titles, c.title)
	}
	titles = append(titles, "verified")
	rows := [][]string{titles, nil}
	for _, row := range distinct(all, func(m Measurement) string { return m.Row }) {
		ofRow := where(all, func(m Measurement) bool { return m.Row == row })
		for _, who := range distinct(ofRow, func(m Measurement) string { return m.Who }) {
			rows = append(rows, figures(row, who, where(ofRow, func(m Measurement) bool { return m.Who == who })))
		}
		mine := where(ofRow, func(m Measurement) bool { return m.Who == subject })
		for _, who := range distinct(ofRow, func(m Measurement) string { return m.Who }) {
			if who != subject && len(mine) > 0 {
				rows = append(rows, ratios(subject+" / "+who, mine, where(ofRow, func(m Measurement) bool { return m.Who == who })))
			}
		}
	}
	write(w, rows)
}

// figures is the line of one program: runs are its measurements of one row.
func figures(row, who string, runs []Measurement) []string {
	cells := []string{row, who}
	for _, c := range columns() {
		var values []float64
		for _, m := range runs {
			if v, ok := c.value(m); ok {
				values = append(values, v)
			}
		}
		cells = append(cells, shown(values, c.show))
	}
	return append(cells, verdict(runs))
}

// ratios compares the measurements of two programs, run by run.
func ratios(title string, mine, peers []Measurement) []string {
	cells := []string{"", title}
	for _, c := range columns() {
		var values []float64
		for i := range min(len(mine), len(peers)) {
			m, okMine := c.value(mine[i])
			p, okPeer := c.value(peers[i])
			if c.ratio && okMine && okPeer && p > 0 {
				values = append(values, m/p)
			}
		}
		cells = append(cells, shown(values, func(v float64) string { return fmt.Sprintf("×%.2f", v) }))
	}
	if !verified(mine) || !verified(peers) {
		return append(cells, "not comparable")
	}
	return append(cells, "")
}

func shown(values []float64, show func(float64) string) string {
	if len(values) == 0 {
		return ""
	}
	return show(Median(values))
}

// verified reports whether the receiver has counted in every run what was made.
func verified(runs []Measurement) bool {
	return !slices.ContainsFunc(runs, func(m Measurement) bool { return m.Problem != "" })
}

// verdict says so, with the notes of all runs, or else what the problem was.
func verdict(runs []Measurement) string {
	said := []string{"yes"}
	for _, m := range runs {
		if m.Problem != "" {
			return "NO: " + m.Problem
		}
		if m.Note != "" {
			said = append(said, m.Note)
		}
	}
	return strings.Join(said, "; ")
}

// Median returns the middle value, or the mean of the two in the middle; 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// figure shows three digits, where there are as many.
func figure(v float64) string {
	switch {
	case v < 1:
		return fmt.Sprintf("%.3f", v)
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

func shortDuration(seconds float64) string {
	if seconds < 1 {
		return figure(1000*seconds) + " ms"
	}
	return figure(seconds) + " s"
}

func distinct(all []Measurement, of func(Measurement) string) []string {
	var out []string
	for _, m := range all {
		if !slices.Contains(out, of(m)) {
			out = append(out, of(m))
		}
	}
	return out
}

func where(all []Measurement, is func(Measurement) bool) []Measurement {
	return slices.DeleteFunc(slices.Clone(all), func(m Measurement) bool { return !is(m) })
}

// write writes rows, the second of which represents the line below the titles.
func write(w io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for n, row := range rows {
		var line strings.Builder
		for i, width := range widths {
			cell, fill := "", " "
			if n == 1 {
				fill = "-"
			} else {
				cell = row[i]
			}
			padding := strings.Repeat(fill, width-len([]rune(cell)))
			if i < 2 || i == len(widths)-1 {
				fmt.Fprintf(&line, "| %s%s ", cell, padding)
			} else if n == 1 {
				fmt.Fprintf(&line, "| %s: ", padding[1:])
			} else {
				fmt.Fprintf(&line, "| %s%s ", padding, cell)
			}
		}
		fmt.Fprintf(w, "%s|\n", line.String())
	}
}
