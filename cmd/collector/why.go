package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"collector/pkg/admin/ui/page"
	"collector/pkg/admin/ui/why"
)

const whyUsage = `collector why asks a running collector about a container, a service, a target, a receiver, a
destination, a signal or a component: whether its data flows, how far behind it is, where it stops, and why.
The page Why in the UI shows the same.

Usage:
  collector why NAME [flags]

NAME is the name or id of a container, a service of a Compose project (shop/api), the URL, address or
job of a target, the id, address or port of a receiver, the id, URL or host of a destination, a signal
(metrics, logs, traces or profiles), or the id of a component.

`

// whyCommand is `collector why`.
func whyCommand(args []string, out io.Writer) error {
	set := pflag.NewFlagSet("why", pflag.ContinueOnError)
	set.SetOutput(out)
	set.Usage = func() { fmt.Fprint(out, whyUsage+set.FlagUsages()) }
	var a asker
	a.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() != 1 {
		return errors.New("why needs one name: of a container, a service, a target, a receiver, a destination, a signal or a component; `collector why --help` says more")
	}
	var answers why.Answers
	return a.show("/api/v1/why", url.Values{"q": {set.Arg(0)}}, &answers, out, func() error { return printAnswers(out, &answers) })
}

// printAnswers prints what the Why page shows.
func printAnswers(out io.Writer, all *why.Answers) error {
	var b strings.Builder
	for i := range all.Subjects {
		s := &all.Subjects[i]
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(s.What + " " + s.Name)
		if s.Of != "" {
			b.WriteString(" (" + s.Of + ")")
		}
		b.WriteByte('\n')
		for j := range s.Answers {
			printAnswer(&b, &s.Answers[j])
		}
	}
	if all.More > 0 {
		fmt.Fprintf(&b, "\n%d more match: name one of them.\n", all.More)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func printAnswer(b *strings.Builder, a *why.Answer) {
	fmt.Fprintf(b, "  %s\n", a.Title)
	for _, t := range a.Texts {
		fmt.Fprintf(b, "    %s %s\n", page.Mark(t.Kind), t.Text)
	}
	if a.Fix != "" {
		fmt.Fprintf(b, "    → %s\n", a.Fix)
	}
	table := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
	for _, l := range a.Labels {
		fmt.Fprintf(table, "        %s\t%s\t%s\n", l.Name, strconv.Quote(l.Value), l.From)
	}
	_ = table.Flush() // into memory
}

const targetsUsage = `collector targets lists the scrape targets of a running collector, the failing ones first.

Usage:
  collector targets [WORD...] [flags]

With WORDs, only targets that contain all of them are listed.

`

// targetRow is a target as the API gives it.
type targetRow struct {
	Name, Job, URL, State, Error, Cause string
	Component                           string
	LastScrape                          time.Time
	Samples                             int
}

// targetsCommand is `collector targets`.
func targetsCommand(args []string, out io.Writer) error {
	set := pflag.NewFlagSet("targets", pflag.ContinueOnError)
	set.SetOutput(out)
	set.Usage = func() { fmt.Fprint(out, targetsUsage+set.FlagUsages()) }
	var a asker
	a.flags(set)
	filters := map[string]*string{
		"state":     set.String("state", "", "only targets in this state: up, down or unknown"),
		"component": set.String("component", "", "only targets of this component"),
		"project":   set.String("project", "", "only targets of this Compose project"),
		"service":   set.String("service", "", "only targets of this Compose service"),
	}
	if err := set.Parse(args); err != nil {
		return err
	}
	query := url.Values{"per_page": {"10000"}}
	if set.NArg() > 0 {
		query.Set("q", strings.Join(set.Args(), " "))
	}
	for name, value := range filters {
		if set.Changed(name) {
			query.Set(name, *value)
		}
	}
	var list struct {
		Items []targetRow
		Total int
		Notes []string
	}
	return a.show("/api/v1/targets", query, &list, out, func() error {
		table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "STATE\tTARGET\tJOB\tURL\tLAST SCRAPE\tSAMPLES\tERROR")
		for _, t := range list.Items {
			last := "never"
			if !t.LastScrape.IsZero() {
				last = page.Since(time.Since(t.LastScrape))
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", t.State, t.Name, t.Job, t.URL, last, t.Samples, oneLine(cmp.Or(t.Cause, t.Error)))
		}
		if err := table.Flush(); err != nil {
			return err
		}
		for _, note := range list.Notes {
			fmt.Fprintln(out, note)
		}
		if more := list.Total - len(list.Items); more > 0 {
			fmt.Fprintf(out, "%d more\n", more)
		}
		return nil
	})
}

// oneLine is the first line of a text.
func oneLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// destinationRow is a destination as the API gives it.
type destinationRow struct {
	Component, URL, Signal, LastError, Cause, Problem, FullQueue string
	Delivered, Queued                                            uint64
	QueuedBytes                                                  int64
	OldestQueued                                                 time.Time
	Healthy, Stores                                              bool
	Queue                                                        struct{ Capacity int64 }
}

// full is how full the queue is with data waiting for the destination.
func (d *destinationRow) full() string {
	switch {
	case d.FullQueue != "":
		return "100 %"
	case d.Queue.Capacity <= 0:
		return ""
	}
	return fmt.Sprintf("%.0f %%", 100*min(1, float64(d.QueuedBytes)/float64(d.Queue.Capacity)))
}

// state is the state of the destination.
func (d *destinationRow) state() string {
	state := "up"
	if !d.Healthy {
		state = cmp.Or(d.Problem, "down") + ": " + oneLine(cmp.Or(d.Cause, d.LastError, "no answer"))
	}
	if d.FullQueue != "" {
		state += "; " + d.FullQueue
	}
	return state
}

// listRunning lists the queues of a running collector.
func listRunning(a *asker, out io.Writer) error {
	var overview struct{ Destinations []destinationRow }
	return a.show("/api/v1/overview", nil, &overview, out, func() error {
		table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "WRITER\tSIGNAL\tDESTINATION\tITEMS\tSIZE\tFULL\tOLDEST\tDELIVERED\tSTATE")
		for _, d := range overview.Destinations {
			if !d.Stores {
				continue
			}
			oldest := ""
			if !d.OldestQueued.IsZero() {
				oldest = page.Since(time.Since(d.OldestQueued))
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%d\t%s\n", d.Component, d.Signal, d.URL, d.Queued, page.Size(float64(d.QueuedBytes)), d.full(), oldest, d.Delivered, d.state())
		}
		return table.Flush()
	})
}
