package wire

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"

	"google.golang.org/protobuf/encoding/protowire"
)

// Profile makes a CPU profile in the format of pprof, compressed, of some 8 KB:
// another one for each seed.
func Profile(seed uint64) []byte {
	const functions, stacks = 200, 250
	random := rand.New(rand.NewPCG(seed, 1))
	var b []byte
	varint := func(m []byte, num protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(m, num, protowire.VarintType), v)
	}
	b = appendMessage(b, 1, varint(varint(nil, 1, 1), 2, 2)) // samples, count
	for range stacks {
		var places []byte
		for range 4 + random.IntN(8) {
			places = protowire.AppendVarint(places, 1+uint64(functions*random.Float64()*random.Float64()))
		}
		values := protowire.AppendVarint(nil, 1+random.Uint64N(40))
		b = appendMessage(b, 2, appendMessage(appendMessage(nil, 1, places), 2, values))
	}
	for id := uint64(1); id <= functions; id++ {
		b = appendMessage(b, 4, appendMessage(varint(varint(nil, 1, id), 3, 0x400000+random.Uint64N(1<<20)), 4, varint(varint(nil, 1, id), 2, 1+random.Uint64N(900))))
		b = appendMessage(b, 5, varint(varint(varint(nil, 1, id), 2, id+2), 4, 3+id%30))
	}
	for _, text := range []string{"", "samples", "count"} {
		b = appendText(b, 6, text)
	}
	for id := range functions {
		b = appendText(b, 6, fmt.Sprintf("shop.example.com/internal/%s.(*%c%s).step%d", [...]string{"orders", "store", "http", "cart"}[id%4], 'A'+rune(id%26), "Handler", id))
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}
