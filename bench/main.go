// Bench makes the collector and its peers do the same work, one after another, and prints
// what it costs each of them. See docs/performance.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"collector-bench/generate"
	"collector-bench/receive"
	"collector-bench/rows"
	"collector-bench/table"
)

func main() {
	log.SetFlags(0)
	command, args := "measure", os.Args[1:]
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	run := map[string]func([]string) error{
		"measure": measure, "receive": receiver, "targets": targets, "spans": spans, "profiles": profiles, "lines": lines,
	}[command]
	if run == nil {
		log.Fatalf("command %q: want measure, which is the default, or one of those that it starts itself: receive, targets, spans, profiles, lines", command)
	}
	if err := run(args); err != nil {
		log.Fatal(err)
	}
}

// flags parses args by what define defines.
func flags(name string, args []string, define func(*flag.FlagSet)) error {
	set := flag.NewFlagSet(name, flag.ExitOnError)
	define(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("%s: arguments %q: want none", name, set.Args())
	}
	return nil
}

func measure(args []string) error {
	o := rows.Options{}
	var who, kinds, compressions string
	err := flags("bench", args, func(f *flag.FlagSet) {
		f.StringVar(&o.Bin, "bin", "../bin", "folder of the collector; its peers are in peers/ below")
		f.StringVar(&who, "who", "", "programs, separated by commas: collector, vmagent, otelcol, node_exporter, cadvisor (default all)")
		f.StringVar(&kinds, "rows", "", "kinds of work, separated by commas: scrape, otlp, logs, profiles, idle, host, containers, engine (default all)")
		f.StringVar(&compressions, "compression", "", "compressions, separated by commas: snappy, zstd of samples; none, gzip of spans (default all)")
		f.IntVar(&o.Targets, "targets", 100, "targets to scrape")
		f.IntVar(&o.Series, "series", 1000, "series of each target")
		f.Float64Var(&o.Rate, "rate", 0, "spans, log lines of each container or profiles a second (default 20000, 2000 and 50)")
		f.DurationVar(&o.Duration, "duration", 5*time.Second, "how long each program is measured at each kind of work")
		f.IntVar(&o.Runs, "runs", 3, "how often everything is measured; the table shows medians")
	})
	if err != nil {
		return err
	}
	o.Who, o.Rows, o.Compressions = split(who), split(kinds), split(compressions)
	if o.Self, err = os.Executable(); err != nil {
		return err
	}
	if o.Bin, err = filepath.Abs(o.Bin); err != nil { // programs have other working directories
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Print(machine(o.Bin))
	var all []table.Measurement
	var skipped []string
	begin := time.Now()
	err = rows.Measure(ctx, o, func(m table.Measurement) {
		all = append(all, m)
		log.Printf("%4.0fs  %s, %s: %v for %d %ss in %v; %s", time.Since(begin).Seconds(), m.Row, m.Who, m.CPU, m.Items, m.Unit, m.Elapsed.Round(time.Millisecond), verified(m))
	}, func(what string, why error) {
		skipped = append(skipped, what)
		log.Printf("%4.0fs  %s: skipped: %v", time.Since(begin).Seconds(), what, why)
	})
	fmt.Printf("\n%d runs of %v each; load average when they ended: %s\n\n", o.Runs, o.Duration, load())
	table.Print(os.Stdout, all, "collector")
	if len(skipped) > 0 {
		fmt.Printf("\nskipped: %s\n", strings.Join(skipped, "; "))
	}
	return err
}

func verified(m table.Measurement) string {
	if m.Problem != "" {
		return m.Problem
	}
	return strings.TrimSpace("verified " + m.Note)
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

func receiver(args []string) error {
	var zstd bool
	if err := flags("receive", args, func(f *flag.FlagSet) { f.BoolVar(&zstd, "zstd", true, "take remote write in zstd") }); err != nil {
		return err
	}
	return receive.Serve(zstd)
}

func targets(args []string) error {
	var targets, series int
	err := flags("targets", args, func(f *flag.FlagSet) {
		f.IntVar(&targets, "targets", 1, "how many")
		f.IntVar(&series, "series", 1, "of each")
	})
	if err != nil {
		return err
	}
	return generate.Targets(targets, series)
}

func spans(args []string) error {
	var to, compression string
	var rate float64
	err := flags("spans", args, func(f *flag.FlagSet) {
		f.StringVar(&to, "to", "", "host:port")
		f.Float64Var(&rate, "rate", 1, "spans a second")
		f.StringVar(&compression, "compression", "none", "none or gzip")
	})
	if err != nil {
		return err
	}
	return generate.Spans(to, rate, compression)
}

func profiles(args []string) error {
	var to string
	var rate float64
	err := flags("profiles", args, func(f *flag.FlagSet) {
		f.StringVar(&to, "to", "", "http://host:port")
		f.Float64Var(&rate, "rate", 1, "profiles a second")
	})
	if err != nil {
		return err
	}
	return generate.Profiles(to, rate)
}

func lines(args []string) error {
	var s generate.Schedule
	var file string
	err := flags("lines", args, func(f *flag.FlagSet) {
		f.StringVar(&file, "signal", "", "file that says when to begin")
		f.IntVar(&s.Rate, "rate", 1, "lines a second")
		f.Uint64Var(&s.Count, "count", 1, "lines")
		f.IntVar(&s.Size, "size", 200, "bytes of a line")
	})
	if err != nil {
		return err
	}
	return generate.Lines(s, file)
}
