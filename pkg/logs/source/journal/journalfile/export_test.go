package journalfile

// DecompressLZ4 decompresses a field.
func DecompressLZ4(packed []byte, limit int) (text []byte, size int64, why string) {
	return new(Decoder).decompress(packedLZ4, packed, limit)
}
