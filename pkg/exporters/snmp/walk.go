package snmp

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/gosnmp/gosnmp"
	"github.com/prometheus/snmp_exporter/scraper"
)

const (
	// maxKept is how much of a device's answers is kept for a module: some hundred
	// thousand values.
	maxKept = 64 << 20
	// valueCost is what a value costs in addition to its name and its text.
	valueCost = 64
)

// walker asks as the library does, but ends a walk that the device does not end.
type walker struct {
	*scraper.GoSNMPWrapper
	kept int // bytes, of this module
}

// WalkAll returns all values below an OID. Some devices mix up the order, so a value that
// is behind the one before it is accepted, but not twice: that would be a loop.
func (w *walker) WalkAll(oid string) (values []gosnmp.SnmpPDU, err error) {
	var g *gosnmp.GoSNMP
	w.SetOptions(func(of *gosnmp.GoSNMP) { g = of })
	walk := g.BulkWalk
	if g.Version == gosnmp.Version1 {
		walk = g.Walk
	}
	last, behind := "", map[string]struct{}{}
	err = walk(oid, func(v gosnmp.SnmpPDU) error {
		if compareOIDs(v.Name, last) <= 0 {
			if _, again := behind[v.Name]; again {
				return fmt.Errorf("its responses loop: %s was returned repeatedly", v.Name)
			}
			behind[v.Name] = struct{}{}
		}
		last = v.Name
		if w.kept += cost(v); w.kept > maxKept {
			return fmt.Errorf("its response exceeds %d MiB", maxKept>>20)
		}
		values = append(values, v)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("error walking target %s: %w", g.Target, err)
	}
	return values, nil
}

// cost is about what a value costs in memory.
func cost(v gosnmp.SnmpPDU) int {
	n := valueCost + len(v.Name)
	switch of := v.Value.(type) {
	case []byte:
		n += len(of)
	case string:
		n += len(of)
	}
	return n
}

// compareOIDs compares OIDs number by number.
func compareOIDs(a, b string) int {
	for a != b {
		var x, y string
		x, a, _ = strings.Cut(strings.TrimPrefix(a, "."), ".")
		y, b, _ = strings.Cut(strings.TrimPrefix(b, "."), ".")
		if order := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); order != 0 {
			return order
		}
	}
	return 0
}
