package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"collector/pkg/admin/ui/flow"
	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/graph"
	"collector/pkg/logging"
	"collector/pkg/queue"
)

const queueUsage = `collector queue shows what is waiting in a running collector, and lists, delivers or deletes data
waiting on disk, even while a collector is running: queues in use are locked and not touched.

Usage:
  collector queue [list --addr ADDRESS]                         list the queues of a running collector
  collector queue list [--storage.path DIR]                     list all queues on disk
  collector queue drain FOLDER --config PATH --to COMPONENT     deliver a queue through a writer of a configuration
  collector queue drop FOLDER                                   delete a queue with its data

FOLDER is a directory shown by list, relative to --storage.path.

`

// queueWriter is a component that delivers queues.
type queueWriter interface {
	QueueWriter(signal string) (*deliver.Writer, error)
}

// queueCommand is `collector queue`.
func queueCommand(args []string, out io.Writer) error {
	set := pflag.NewFlagSet("queue", pflag.ContinueOnError)
	set.SetOutput(out)
	set.Usage = func() { fmt.Fprint(out, queueUsage+set.FlagUsages()) }
	root := set.String("storage.path", defaultStorage, "directory for queues and cursors")
	path := set.String("config", "", "the configuration that defines the writer")
	to := set.String("to", "", "the writer to deliver with, for example loki.write.default")
	endpoint := set.String("endpoint", "", "the endpoint to deliver to, if the writer has several")
	timeout := set.Duration("timeout", 0, "how long to try to deliver; 0 means until everything is delivered")
	var a asker
	a.flags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	switch running := a.addr != "" || a.json; {
	case set.NArg() == 0, set.NArg() == 1 && set.Arg(0) == "list" && running:
		return listRunning(&a, out)
	case set.NArg() == 1 && set.Arg(0) == "list":
		return listQueues(*root, out)
	case set.NArg() == 2 && set.Arg(0) == "drop":
		return dropQueue(*root, set.Arg(1), out)
	case set.NArg() == 2 && set.Arg(0) == "drain" && *path != "" && *to != "":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		if *timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, *timeout)
			defer cancel()
		}
		return drainQueue(ctx, drainOptions{root: *root, folder: set.Arg(1), config: *path, to: *to, endpoint: *endpoint}, out)
	}
	return errors.New("queue takes a command: list, drain FOLDER --config PATH --to COMPONENT, or drop FOLDER; `collector queue --help` says more")
}

func listQueues(root string, out io.Writer) error {
	found, err := queue.Find(root)
	if err != nil {
		return fmt.Errorf("look for queues: %w", err)
	}
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "FOLDER\tWRITER\tSIGNAL\tDESTINATION\tITEMS\tSIZE\tOLDEST")
	for _, f := range found {
		stats, err := waiting(f)
		for i, d := range f.Destinations {
			what := []string{"?", "", "in use by a running collector"}
			switch {
			case err == nil:
				what = []string{fmt.Sprint(stats[i].Queued), component.Bytes(stats[i].QueuedBytes).String(), ""}
				if !stats[i].Oldest.IsZero() {
					what[2] = stats[i].Oldest.UTC().Format(time.RFC3339)
				}
			case !errors.Is(err, queue.ErrInUse):
				what[2] = err.Error()
			}
			place := d.URL
			if place == "" {
				place = d.Reader
			}
			fmt.Fprintln(table, strings.Join(append([]string{relative(root, f.Dir), f.Component, f.Signal, place}, what...), "\t"))
		}
	}
	return table.Flush()
}

// waiting opens a queue to see what is waiting in it.
func waiting(f queue.Folder) ([]queue.Stats, error) {
	q, err := queue.OpenFolder(f, queue.Options{Description: f.Description})
	if err != nil {
		return nil, err
	}
	stats := q.Stats()
	return stats, q.Close()
}

func relative(root, dir string) string {
	if name, err := filepath.Rel(root, dir); err == nil {
		return name
	}
	return dir
}

// findQueue finds the queue that a user names.
func findQueue(root, name string) (queue.Folder, error) {
	found, err := queue.Find(root)
	if err != nil {
		return queue.Folder{}, fmt.Errorf("look for queues: %w", err)
	}
	for _, f := range found {
		if f.Dir == filepath.Clean(name) || relative(root, f.Dir) == filepath.Clean(name) {
			return f, nil
		}
	}
	return queue.Folder{}, fmt.Errorf("no queue %q under %s; `collector queue list --storage.path %s` lists the queues", name, root, root)
}

func dropQueue(root, name string, out io.Writer) error {
	f, err := findQueue(root, name)
	if err != nil {
		return err
	}
	q, err := queue.OpenFolder(f, queue.Options{})
	if err != nil {
		return err
	}
	stats := q.Stats()
	if err := q.Remove(); err != nil {
		return fmt.Errorf("delete queue %q: %w", f.Dir, err)
	}
	for i, d := range f.Destinations {
		fmt.Fprintf(out, "deleted %d items that were waiting for %s\n", stats[i].Queued, d.Reader)
	}
	return nil
}

type drainOptions struct{ root, folder, config, to, endpoint string }

func drainQueue(ctx context.Context, o drainOptions, out io.Writer) error {
	f, err := findQueue(o.root, o.folder)
	if err != nil {
		return err
	}
	if from, to := formatOf(f.Component), formatOf(o.to); from != to {
		return fmt.Errorf("the queue holds data of the kind %s, which %s can't send: name a writer of that kind", from, o.to)
	}
	sources, err := readSources(o.config)
	if err != nil {
		return err
	}
	options := checkOptions()
	options.StoragePath, options.Logger = o.root, logging.New(os.Stderr).Logger()
	made, err := graph.Make(options, sources, o.to)
	if err != nil {
		return err
	}
	c, ok := made.(queueWriter)
	if !ok {
		return fmt.Errorf("%s cannot deliver a queue", o.to)
	}
	w, err := c.QueueWriter(f.Signal)
	if err != nil {
		return err
	}
	delivered, dropped, err := w.Drain(ctx, f, o.endpoint)
	fmt.Fprintf(out, "delivered %d items, dropped %d\n", delivered, dropped)
	return err
}

// formatOf is the kind of component whose queue has the same format.
func formatOf(id string) string {
	kind := id
	if i := strings.LastIndexByte(id, '.'); i >= 0 {
		kind = id[:i]
	}
	return strings.TrimSuffix(kind, "http") // both OTLP exporters queue requests as they came
}

// orphanedQueues is what the UI shows of queues without a writer.
func (p *program) orphanedQueues() []flow.OrphanedQueue {
	var all []flow.OrphanedQueue
	for _, s := range p.orphans.Status() {
		all = append(all, flow.OrphanedQueue{
			Folder: s.Dir, Component: s.Component, Signal: s.Signal, URL: s.URL, Items: s.Items, Bytes: s.Bytes,
			Oldest: s.Oldest, KeptUntil: s.KeptUntil, Delivering: s.Delivering,
		})
	}
	return all
}
