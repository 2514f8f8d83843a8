package loadbalancing

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// The ring is as that of the Collector's loadbalancing exporter, so that both choose the
// same endpoints.
const (
	ringSize    = 36000 // positions
	pointsEach  = 100   // of an endpoint
	longestStep = 10    // how far a point moves on, less one, when its position is taken
)

// ring says which endpoint a key belongs to. If an endpoint is added or removed, most keys
// stay where they are.
type ring []point

type point struct {
	position uint32
	endpoint string
}

// newRing makes the ring of endpoints, which are in order.
func newRing(endpoints []string) ring {
	var r ring
	taken := map[uint32]bool{}
	for _, endpoint := range endpoints {
		for i := range uint32(pointsEach) {
			at := crc32.ChecksumIEEE(binary.LittleEndian.AppendUint32([]byte(endpoint), i)) % ringSize
			steps := 0
			for ; taken[at] && steps < longestStep; steps++ {
				at = (at + 1) % ringSize
			}
			if steps == longestStep {
				continue
			}
			taken[at] = true
			r = append(r, point{at, endpoint})
		}
	}
	slices.SortFunc(r, func(a, b point) int { return cmp.Compare(a.position, b.position) })
	return r
}

// endpoint is the one of the first point from the key's position on.
func (r ring) endpoint(key string) string {
	at := crc32.ChecksumIEEE([]byte(key)) % ringSize
	i, _ := slices.BinarySearchFunc(r, at, func(p point, at uint32) int { return cmp.Compare(p.position, at) })
	return r[i%len(r)].endpoint
}
