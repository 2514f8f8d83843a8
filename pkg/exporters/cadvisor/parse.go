package cadvisor

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// unlimited is what "max" is read as. Limits from there on are none, as the kernel
// rounds those of cgroup v1.
const (
	unlimited = math.MaxUint64
	mostBytes = 1 << 62
)

// parseNumber reads a file that is one number or "max".
func parseNumber(text []byte) (value uint64, ok bool) {
	word := string(bytes.TrimSpace(text))
	if word == "max" {
		return unlimited, true
	}
	value, err := strconv.ParseUint(word, 10, 64)
	return value, err == nil
}

// parseKeyed reads lines "name number", and passes over all others.
func parseKeyed(text []byte) map[string]uint64 {
	out := map[string]uint64{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseUint(value, 10, 64); err == nil && name != "" {
			out[name] = n
		}
	}
	return out
}

// parseNumbers reads numbers with white space between them, up to the first word
// that is none.
func parseNumbers(text []byte) []uint64 {
	var out []uint64
	for word := range bytes.FieldsSeq(text) {
		n, err := strconv.ParseUint(string(word), 10, 64)
		if err != nil {
			break
		}
		out = append(out, n)
	}
	return out
}

// device is the number of a block device.
type device struct{ major, minor uint64 }

func parseDevice(text string) (device, bool) {
	major, minor, _ := strings.Cut(text, ":")
	a, errA := strconv.ParseUint(major, 10, 32)
	b, errB := strconv.ParseUint(minor, 10, 32)
	return device{a, b}, errA == nil && errB == nil
}

// operation is how much of one kind a device did.
type operation struct {
	device
	name  string // Read, Write, Sync, Async, Discard or Total
	value uint64
}

// parseBlkio reads a file of cgroup v1: lines "8:0 Read 4096".
func parseBlkio(text []byte) []operation {
	var out []operation
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue // the total of all devices
		}
		d, ok := parseDevice(fields[0])
		value, err := strconv.ParseUint(fields[2], 10, 64)
		if ok && err == nil {
			out = append(out, operation{d, fields[1], value})
		}
	}
	return out
}

// parseIOStat reads io.stat of cgroup v2: lines "8:0 rbytes=4096 wbytes=0 rios=1 …".
// The names are made those of v1.
func parseIOStat(text []byte) (size, count []operation) {
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		d, ok := parseDevice(fields[0])
		if !ok {
			continue
		}
		for _, field := range fields[1:] {
			name, number, _ := strings.Cut(field, "=")
			value, err := strconv.ParseUint(number, 10, 64)
			if err != nil {
				continue
			}
			switch name {
			case "rbytes":
				size = append(size, operation{d, "Read", value})
			case "wbytes":
				size = append(size, operation{d, "Write", value})
			case "rios":
				count = append(count, operation{d, "Read", value})
			case "wios":
				count = append(count, operation{d, "Write", value})
			}
		}
	}
	return size, count
}

// parseCPUMax reads cpu.max of cgroup v2: "max 100000" or "50000 100000".
func parseCPUMax(text []byte) (quota, period uint64) {
	fields := strings.Fields(string(text))
	if len(fields) != 2 {
		return 0, 0
	}
	quota, _ = strconv.ParseUint(fields[0], 10, 64) // 0 for max
	period, _ = strconv.ParseUint(fields[1], 10, 64)
	return quota, period
}

// sharesOf is a weight of cgroup v2 as CPU shares of v1.
func sharesOf(weight uint64) uint64 {
	if weight < 1 || weight > 10_000 {
		return 0
	}
	return 2 + (weight-1)*262_142/9999
}

// nodePages are pages of one type on one NUMA node.
type nodePages struct {
	kind, scope, node string
	pages             uint64
}

// parseNuma reads memory.numa_stat: of v1 "file=12 N0=12" and "hierarchical_file=…",
// in pages; of v2 "file N0=4096", in bytes.
func parseNuma(text []byte, pageSize uint64) []nodePages {
	var out []nodePages
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kind, _, v1 := strings.Cut(fields[0], "=")
		scope := "container"
		if rest, ok := strings.CutPrefix(kind, "hierarchical_"); ok {
			kind, scope = rest, "hierarchy"
		}
		if kind != "file" && kind != "anon" && kind != "unevictable" {
			continue
		}
		for _, field := range fields[1:] {
			node, number, _ := strings.Cut(field, "=")
			value, err := strconv.ParseUint(number, 10, 64)
			if err != nil || !strings.HasPrefix(node, "N") {
				continue
			}
			if !v1 {
				value /= max(1, pageSize)
			}
			out = append(out, nodePages{kind, scope, node[1:], value})
		}
	}
	return out
}

// netInterface is what passed through a network interface.
type netInterface struct {
	name                                    string
	rxBytes, rxPackets, rxErrors, rxDropped uint64
	txBytes, txPackets, txErrors, txDropped uint64
}

var errNetDev = errors.New("a line of net/dev has not 16 numbers")

// parseNetDev reads /proc/PID/net/dev without the loopback, and without Docker's own
// interfaces, as cAdvisor.
func parseNetDev(text []byte) ([]netInterface, error) {
	var out []netInterface
	for line := range strings.Lines(string(text)) {
		// The last colon: names may have one, as eth0:1 has.
		at := strings.LastIndexByte(line, ':')
		if at < 0 {
			continue // the two lines of the head
		}
		name := strings.TrimSpace(line[:at])
		n := parseNumbers([]byte(line[at+1:]))
		if len(n) != 16 {
			return nil, fmt.Errorf("%w: %.80q", errNetDev, line)
		}
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "lo") || strings.HasPrefix(lower, "veth") || strings.HasPrefix(lower, "docker") {
			continue
		}
		out = append(out, netInterface{name, n[0], n[1], n[2], n[3], n[8], n[9], n[10], n[11]})
	}
	return out, nil
}

// tcpStates are the states by their number in /proc/net/tcp, from 1.
func tcpStates() []string {
	return []string{"established", "synsent", "synrecv", "finwait1", "finwait2", "timewait", "close", "closewait", "lastack", "listen", "closing"}
}

// parseTCP counts the sockets of /proc/PID/net/tcp by state.
func parseTCP(text []byte) []uint64 {
	out := make([]uint64, len(tcpStates()))
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[0] == "sl" {
			continue
		}
		if state, err := strconv.ParseUint(fields[3], 16, 8); err == nil && state >= 1 && int(state) <= len(out) {
			out[state-1]++
		}
	}
	return out
}

// udpSockets are the sockets of /proc/PID/net/udp, together.
type udpSockets struct{ listen, dropped, rxQueued, txQueued uint64 }

func parseUDP(text []byte) (out udpSockets) {
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 13 {
			continue // the head has 15
		}
		tx, rx, _ := strings.Cut(fields[4], ":")
		sent, errSent := strconv.ParseUint(tx, 16, 64)
		received, errReceived := strconv.ParseUint(rx, 16, 64)
		dropped, errDropped := strconv.ParseUint(fields[12], 10, 64)
		if errSent == nil && errReceived == nil && errDropped == nil {
			out.listen++
			out.txQueued += sent
			out.rxQueued += received
			out.dropped += dropped
		}
	}
	return out
}

// parseCounters reads the pairs of lines of /proc/PID/net/netstat and net/snmp that
// begin with "TcpExt:" or "Tcp:", by name in lower case.
func parseCounters(text []byte, into map[string]float64) {
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "TcpExt:" && fields[0] != "Tcp:" {
			names = nil
			continue
		}
		if len(names) == 0 || names[0] != fields[0] {
			names = fields
			continue
		}
		for i := 1; i < min(len(names), len(fields)); i++ {
			if value, err := strconv.ParseInt(fields[i], 10, 64); err == nil {
				into[strings.ToLower(names[i])] = float64(value)
			}
		}
		names = nil
	}
}
