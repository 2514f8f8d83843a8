package process

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ncabatoff/process-exporter/proc"
	"github.com/prometheus/client_golang/prometheus"
)

// metric is a metric of process_exporter, whose own collector never ends.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func newMetric(name, help string, kind prometheus.ValueType, labels ...string) metric {
	return metric{prometheus.NewDesc("namedprocess_"+name, help, labels, nil), kind}
}

func counter(name, help string, labels ...string) metric {
	return newMetric("namegroup_"+name, help, prometheus.CounterValue, append([]string{"groupname"}, labels...)...)
}

func gauge(name, help string, labels ...string) metric {
	return newMetric("namegroup_"+name, help, prometheus.GaugeValue, append([]string{"groupname"}, labels...)...)
}

// metrics sends the metrics of a scrape.
type metrics struct {
	to chan<- prometheus.Metric
}

func (m metrics) add(of metric, value float64, labels ...string) {
	m.to <- prometheus.MustNewConstMetric(of.desc, of.kind, value, labels...)
}

// Describe implements prometheus.Collector: nothing is checked beforehand.
func (p *Process) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (p *Process) Collect(to chan<- prometheus.Metric) {
	m := metrics{to}
	groups, err := p.update()
	if err != nil {
		to <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
	}
	p.groups(m, groups)
	p.mu.Lock()
	defer p.mu.Unlock()
	m.add(newMetric("scrape_errors", "Scrapes that found no processes.", prometheus.CounterValue), float64(p.errs.scrape))
	m.add(newMetric("scrape_procread_errors", "Processes that could not be read.", prometheus.CounterValue), float64(p.errs.read))
	m.add(newMetric("scrape_partial_errors", "Processes that could only be read in part.", prometheus.CounterValue), float64(p.errs.partial))
}

func (p *Process) groups(m metrics, groups proc.GroupByName) {
	names := names{}
	for name, g := range groups {
		name, ok := names.add(name)
		if !ok {
			continue
		}
		m.group(name, g)
		if p.smaps {
			memory := gauge("memory_bytes", "Memory of the group's processes, by kind.", "memtype")
			m.add(memory, float64(g.ProportionalBytes), name, "proportionalResident")
			m.add(memory, float64(g.ProportionalSwapBytes), name, "proportionalSwapped")
		}
		if p.threads {
			m.threads(name, g.Threads)
		}
	}
}

// names are those that have series.
type names map[string]struct{}

// add returns name as the value of a label, which must be UTF-8: of other names, such
// as those that Linux cuts within a character, the bytes are shown as \xc3. It reports
// whether that one is new: a second one would cost the whole page.
func (n names) add(name string) (string, bool) {
	if !utf8.ValidString(name) {
		var b strings.Builder
		for i, r := range name {
			switch _, size := utf8.DecodeRuneInString(name[i:]); {
			case r == utf8.RuneError && size == 1:
				fmt.Fprintf(&b, `\x%02x`, name[i])
			default:
				b.WriteRune(r)
			}
		}
		name = b.String()
	}
	_, taken := n[name]
	n[name] = struct{}{}
	return name, !taken
}

func (m metrics) group(name string, g proc.Group) {
	m.add(gauge("num_procs", "Processes in the group."), float64(g.Procs), name)
	m.add(gauge("num_threads", "Threads of the group's processes."), float64(g.NumThreads), name)
	m.add(gauge("oldest_start_time_seconds", "When the group's oldest process started, in seconds since 1970."), float64(g.OldestStartTime.Unix()), name)
	m.add(gauge("open_filedesc", "File descriptors that the group's processes have open."), float64(g.OpenFDs), name)
	m.add(gauge("worst_fd_ratio", "Open file descriptors divided by their limit, of the process that is closest to it."), g.WorstFDratio, name)
	m.counts("namegroup_", g.Counts, name)
	m.add(counter("read_bytes_total", "Bytes read by the group."), float64(g.ReadBytes), name)
	m.add(counter("write_bytes_total", "Bytes written by the group."), float64(g.WriteBytes), name)
	memory := gauge("memory_bytes", "Memory of the group's processes, by kind.", "memtype")
	m.add(memory, float64(g.ResidentBytes), name, "resident")
	m.add(memory, float64(g.VirtualBytes), name, "virtual")
	m.add(memory, float64(g.VmSwapBytes), name, "swapped")
	states := gauge("states", "Threads of the group, by their state.", "state")
	m.add(states, float64(g.Running), name, "Running")
	m.add(states, float64(g.Sleeping), name, "Sleeping")
	m.add(states, float64(g.Waiting), name, "Waiting")
	m.add(states, float64(g.Zombie), name, "Zombie")
	m.add(states, float64(g.Other), name, "Other")
	waiting := gauge("threads_wchan", "Threads of the group, by where in the kernel they wait.", "wchan")
	wchans := names{}
	for where, n := range g.Wchans {
		if where, ok := wchans.add(where); ok {
			m.add(waiting, float64(n), name, where)
		}
	}
}

func (m metrics) threads(group string, threads []proc.Threads) {
	names := names{}
	for _, t := range threads {
		var ok bool
		if t.Name, ok = names.add(t.Name); ok {
			m.thread(group, t)
		}
	}
}

func (m metrics) thread(name string, t proc.Threads) {
	m.add(gauge("thread_count", "Threads of the group with this name.", "threadname"), float64(t.NumThreads), name, t.Name)
	m.counts("namegroup_thread_", t.Counts, name, t.Name)
	io := counter("thread_io_bytes_total", "Bytes that these threads have read and written.", "threadname", "iomode")
	m.add(io, float64(t.ReadBytes), name, t.Name, "read")
	m.add(io, float64(t.WriteBytes), name, t.Name, "write")
}

// counts adds what groups and threads have in common; prefix begins the names.
func (m metrics) counts(prefix string, c proc.Counts, of ...string) {
	labels := []string{"groupname", "threadname"}[:len(of)]
	one := func(name, help string, value float64) {
		m.add(newMetric(prefix+name, help, prometheus.CounterValue, labels...), value, of...)
	}
	two := func(name, help, label string, kinds [2]string, values [2]float64) {
		by := newMetric(prefix+name, help, prometheus.CounterValue, append(labels[:len(labels):len(labels)], label)...)
		for i, kind := range kinds {
			m.add(by, values[i], append(of[:len(of):len(of)], kind)...)
		}
	}
	two("cpu_seconds_total", "CPU time used, in seconds.", "mode", [2]string{"user", "system"}, [2]float64{c.CPUUserTime, c.CPUSystemTime})
	two("context_switches_total", "Context switches.", "ctxswitchtype", [2]string{"voluntary", "nonvoluntary"},
		[2]float64{float64(c.CtxSwitchVoluntary), float64(c.CtxSwitchNonvoluntary)})
	one("major_page_faults_total", "Major page faults.", float64(c.MajorPageFaults))
	one("minor_page_faults_total", "Minor page faults.", float64(c.MinorPageFaults))
}
