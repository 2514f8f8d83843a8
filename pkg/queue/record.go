package queue

import (
	"encoding/binary"
	"math"

	"collector/pkg/durable"
)

const (
	recordMagic     = "CQR1"
	recordHeaderLen = 64
	segmentMagic    = "CQS1"
	segmentLen      = 64 // of a segment's header

	// maxNumber is more than the number of any block or the count of all items can reach.
	// A file that says as much is damaged, whatever its checksum: below it, no sum of a
	// few of them overflows.
	maxNumber = 1 << 62

	maxTag   = math.MaxUint16
	maxData  = math.MaxInt32
	maxItems = math.MaxInt32
)

// header is what a record says of its block.
type header struct {
	seq                        uint64 // numbers the blocks from 1 on
	before                     uint64 // items in all earlier blocks
	items                      int
	dataLen                    int
	dataSum                    uint32
	appended, minTime, maxTime int64
	tag                        string
}

// size is the length of the whole record.
func (h *header) size() int64 { return recordSize(len(h.tag), h.dataLen) }

func recordSize(tagLen, dataLen int) int64 {
	return int64(recordHeaderLen) + int64(tagLen) + int64(dataLen)
}

// encodeRecord appends the record of b to dst. Its place in the queue is left
// to seal, because the sum over the payload needs no lock.
func encodeRecord(dst []byte, b Block) []byte {
	le := binary.LittleEndian
	dst = append(dst, recordMagic...)
	dst = le.AppendUint32(dst, 0)
	dst = le.AppendUint32(dst, durable.Checksum(0, b.Data))
	dst = le.AppendUint32(dst, uint32(len(b.Data)))
	dst = le.AppendUint32(dst, uint32(len(b.Tag)))
	dst = le.AppendUint32(dst, uint32(b.Items))
	dst = append(dst, make([]byte, 24)...)
	dst = le.AppendUint64(dst, uint64(b.MinTime))
	dst = le.AppendUint64(dst, uint64(b.MaxTime))
	dst = append(dst, b.Tag...)
	return append(dst, b.Data...)
}

// seal gives the record its place and its checksum.
func seal(record []byte, salt uint32, seq, before uint64, appended int64) {
	le := binary.LittleEndian
	le.PutUint64(record[24:], seq)
	le.PutUint64(record[32:], before)
	le.PutUint64(record[40:], uint64(appended))
	n := recordHeaderLen + int(le.Uint32(record[16:]))
	le.PutUint32(record[4:], durable.Checksum(salt, record[8:n]))
}

// tagLength reads how long the tag is, to tell how much of the record has to be
// there before parseHeader can check it. It is -1 when b starts no record.
func tagLength(b []byte) int {
	if len(b) < recordHeaderLen || string(b[:4]) != recordMagic {
		return -1
	}
	n := binary.LittleEndian.Uint32(b[16:])
	if n > maxTag || binary.LittleEndian.Uint32(b[12:]) > maxData {
		return -1
	}
	return int(n)
}

// parseHeader reads the header at the start of b. tag is used instead of a new
// string when it is the same, as it nearly always is.
func parseHeader(b []byte, salt uint32, tag string) (header, bool) {
	n := tagLength(b)
	if n < 0 || len(b) < recordHeaderLen+n {
		return header{}, false
	}
	le := binary.LittleEndian
	if le.Uint32(b[4:]) != durable.Checksum(salt, b[8:recordHeaderLen+n]) {
		return header{}, false
	}
	if t := b[recordHeaderLen : recordHeaderLen+n]; string(t) != tag {
		tag = string(t)
	}
	if le.Uint32(b[20:]) > maxItems || le.Uint64(b[24:]) >= 2*maxNumber || le.Uint64(b[32:]) >= 2*maxNumber {
		return header{}, false
	}
	return header{
		dataSum:  le.Uint32(b[8:]),
		dataLen:  int(le.Uint32(b[12:])),
		items:    int(le.Uint32(b[20:])),
		seq:      le.Uint64(b[24:]),
		before:   le.Uint64(b[32:]),
		appended: int64(le.Uint64(b[40:])),
		minTime:  int64(le.Uint64(b[48:])),
		maxTime:  int64(le.Uint64(b[56:])),
		tag:      tag,
	}, true
}

// segmentHeader is what a segment says about itself.
type segmentHeader struct {
	index  uint64
	salt   uint32
	first  uint64 // seq of the first record
	before uint64 // items in all earlier records
	// Every reader had done with the blocks below floor when the segment was
	// begun, whatever a cursor says that is older than that.
	floor       uint64
	floorBefore uint64
	// Every reader was done with the blocks up to doneTo, and they have been removed,
	// unless it is 0.
	doneTo     uint64
	doneBefore uint64
}

func (h segmentHeader) encode() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, segmentLen)
	b = append(b, segmentMagic...)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, h.index)
	b = le.AppendUint64(b, h.first)
	b = le.AppendUint64(b, h.before)
	b = le.AppendUint64(b, h.floor)
	b = le.AppendUint64(b, h.floorBefore)
	b = le.AppendUint64(b, h.doneTo)
	b = le.AppendUint64(b, h.doneBefore)
	le.PutUint32(b[4:], durable.Checksum(h.salt, b[8:]))
	return b
}

func parseSegmentHeader(b []byte, salt uint32) (segmentHeader, bool) {
	le := binary.LittleEndian
	if len(b) < segmentLen || string(b[:4]) != segmentMagic || le.Uint32(b[4:]) != durable.Checksum(salt, b[8:segmentLen]) {
		return segmentHeader{}, false
	}
	h := segmentHeader{
		index:       le.Uint64(b[8:]),
		salt:        salt,
		first:       le.Uint64(b[16:]),
		before:      le.Uint64(b[24:]),
		floor:       le.Uint64(b[32:]),
		floorBefore: le.Uint64(b[40:]),
		doneTo:      le.Uint64(b[48:]),
		doneBefore:  le.Uint64(b[56:]),
	}
	// The index is not bounded here: it is in the file's name.
	return h, max(h.first, h.before, h.floor, h.floorBefore, h.doneTo, h.doneBefore) < maxNumber
}
