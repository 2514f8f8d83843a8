package delta

import (
	"runtime"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// many is a profile of many parts that are as small as can be.
func many(strings, locations, samples int) (out []byte) {
	message := func(number protowire.Number, content []byte) {
		out = protowire.AppendBytes(protowire.AppendTag(out, number, protowire.BytesType), content)
	}
	number := func(b []byte, n protowire.Number, v int) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), uint64(v))
	}
	message(fieldString, nil)
	message(fieldString, []byte("alloc_objects"))
	message(fieldString, []byte("count"))
	message(fieldType, number(number(nil, 1, 1), 2, 2))
	for range strings {
		message(fieldString, nil)
	}
	for i := range locations {
		message(fieldLocation, number(number(nil, 1, i+1), 3, i+1))
	}
	for i := range samples {
		message(fieldSample, number(number(nil, sampleLocation, i%max(locations, 1)+1), sampleValue, i))
	}
	return out
}

func TestTheCostOfAComparisonCoversWhatItTakes(t *testing.T) {
	for name, profile := range map[string][]byte{
		"strings": many(500_000, 1, 1), "locations": many(0, 100_000, 1), "samples": many(0, 100_000, 100_000),
	} {
		cost, err := Cost(profile)
		if err != nil {
			t.Fatal(err)
		}
		c := allocations()
		for range 2 {
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := c.Delta(profile); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			runtime.ReadMemStats(&after)
			t.Logf("%s: %d bytes: cost %d, allocated %d", name, len(profile), cost, after.TotalAlloc-before.TotalAlloc)
			if made := after.TotalAlloc - before.TotalAlloc; made > 2*uint64(cost) {
				t.Errorf("%s: %d bytes are allocated, the cost is %d", name, made, cost)
			}
		}
	}
}

func TestAProfileOfTooManyPartsHasNoCost(t *testing.T) {
	if _, err := Cost(many(0, 1, maxSamples+1)); err == nil {
		t.Error("no error")
	}
	if _, err := Cost([]byte{0xff}); err == nil {
		t.Error("no error for what is not a profile")
	}
}
