package overview

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/flow"
	"collector/pkg/admin/ui/page"
	"collector/pkg/human"
	"collector/pkg/mask"
)

// queueProblems lists the queues that are full or cannot be written to, and the
// disks that will be full before the queues on them are.
func (s *situation) queueProblems() (out []problem) {
	seen := map[[2]string]bool{}
	for i := range s.destinations {
		d := &s.destinations[i]
		if key := [2]string{d.Component, d.Signal}; !d.Stores || seen[key] {
			continue
		} else {
			seen[key] = true
		}
		p := problem{Kind: "bad", Component: d.Component, Link: "/component/" + url.PathEscape(d.Component), Since: d.Queue.FullSince}
		name := fmt.Sprintf("%s (%s to %s)", d.Component, d.Signal, d.URL)
		switch {
		case d.Queue.Failing != "":
			p.Message = fmt.Sprintf("The queue of %s cannot be written to: %s.", name, firstLine(mask.WithoutPasswords(d.Queue.Failing)))
			p.Fix = "Free some space on the disk, or make it writable. Senders retry until then."
		case d.FullQueue != "":
			p.Message = fmt.Sprintf("Q%s. It is the queue of %s.", strings.TrimPrefix(d.FullQueue, "q"), name)
			p.Fix = fullFix(d.Queue.WhenFull)
		default:
			continue
		}
		out = append(out, p)
	}
	return append(out, s.diskProblems()...)
}

func fullFix(whenFull string) string {
	const then = " Fix the destination, or give it more capacity. A larger queue gives you more time to do so."
	switch whenFull {
	case "wait":
		return "Nothing is lost as long as the sources keep it, such as Docker until it rotates the container's log." + then
	case "refuse":
		return "Data is lost when a sender gives up." + then
	}
	return "Data is being lost." + then
}

// diskProblems lists the disks that have less room than the queues on them may
// still take, each once.
func (s *situation) diskProblems() (out []problem) {
	type short struct {
		free  int64
		wants []string
	}
	disks := map[uint64]*short{}
	var order []uint64
	seen := map[[2]string]bool{}
	for i := range s.destinations {
		d := &s.destinations[i]
		if key := [2]string{d.Component, d.Signal}; !d.Queue.Short() || seen[key] {
			continue
		} else {
			seen[key] = true
		}
		id := d.Queue.Disk.Disk
		if disks[id] == nil {
			disks[id] = &short{free: d.Queue.Disk.Free}
			order = append(order, id)
		}
		disks[id].wants = append(disks[id].wants, fmt.Sprintf("%s (%s, up to %s)", d.Component, d.Signal, human.Limit(d.Queue.Capacity)))
	}
	slices.Sort(order)
	for _, id := range order {
		disk := disks[id]
		out = append(out, problem{
			Kind:    "warn",
			Message: fmt.Sprintf("The disk has %s free, less than a queue on it may still use: %s.", human.Size(float64(disk.free)), page.Cut(strings.Join(disk.wants, ", "), 300)),
			Fix:     "Free some space, put --storage.path on a larger disk, or set smaller queues: once the disk is full, nothing can be queued, and new data is refused.",
		})
	}
	return out
}

// soon is how long in advance the page says that a queue will be full.
const soon = 7 * 24 * time.Hour

// gauge shows how full the queue of a destination is, and when it will be full.
func gauge(d *flow.Destination) g.Node {
	if !d.Stores || d.Queue.Capacity <= 0 {
		return h.Span(h.Class("dim"), g.Text("–"))
	}
	fill := d.Fill()
	share := fmt.Sprintf("%.0f%%", 100*fill)
	if fill > 0 && fill < 0.01 {
		share = "under 1%"
	}
	nodes := g.Group{
		h.Meter(h.Min("0"), h.Max("1"), g.Attr("low", "0.5"), g.Attr("high", "0.75"), g.Attr("optimum", "0"), h.Value(fmt.Sprintf("%.4f", fill)),
			g.Attr("aria-label", "Queue of "+d.Component+", "+d.Signal), g.Text(share)),
		h.Span(h.Class("n"), g.Text(" "+share+" of "+human.Limit(d.Queue.Capacity))),
	}
	if d.FullInSeconds > 0 && d.FullInSeconds < soon.Seconds() {
		nodes = append(nodes, g.Text(", full in "+human.Duration(time.Duration(d.FullInSeconds*float64(time.Second)).Round(time.Second))))
	}
	if n := d.Queue.Refused; n > 0 {
		nodes = append(nodes, g.Text(", "+human.Count(float64(n))+" refused"))
	}
	return nodes
}

// refused shows how much the queues had no room for; its senders still have it.
func (f *signalFlow) refused() g.Node {
	if f.Refused == 0 {
		return g.Text("none")
	}
	return g.Group{page.Badge("bad", page.Count(float64(f.Refused))), g.Text(" by full queues")}
}
