package deliver

import (
	"encoding/binary"
	"errors"
	"math"
)

// JoinSnappy appends one block of snappy's block format that holds what several hold one
// after the other, without touching what is in them: a block is the uncompressed length,
// and then literals and copies, which say how far back they reach, so that those of a
// later block still mean the same behind the earlier ones. For protobuf messages of one
// type, the contents one after the other are the message with all their repeated fields.
// No block may hold more than limit bytes, by which damage is detected; blocks is
// changed.
func JoinSnappy(dst []byte, blocks [][]byte, limit uint64) ([]byte, error) {
	total := uint64(0)
	for i, b := range blocks {
		length, n := binary.Uvarint(b)
		if n <= 0 || length > limit {
			return nil, errors.New("the length of a snappy block is damaged")
		}
		total += length
		blocks[i] = b[n:]
	}
	if total > math.MaxUint32 {
		return nil, errors.New("snappy blocks are too large to be joined")
	}
	dst = binary.AppendUvarint(dst, total)
	for _, b := range blocks {
		dst = append(dst, b...)
	}
	return dst, nil
}
