package process_test

import "encoding/binary"

// mmdb is a database of MaxMind's format 2.0 that knows the same of every address: a
// search tree of one node, the record, and the metadata.
func mmdb() []byte {
	const separator, nodes = 16, 1
	node := []byte{0, 0, nodes + separator, 0, 0, nodes + separator} // both ways lead to the first record
	out := append(node, make([]byte, separator)...)
	out = append(out, mmdbMap(
		"country", mmdbMap("iso_code", mmdbText("XX")),
		"city", mmdbMap("names", mmdbMap("en", mmdbText("Here"))),
		"autonomous_system_organization", mmdbText("Us"),
	)...)
	out = append(out, "\xab\xcd\xefMaxMind.com"...)
	return append(out, mmdbMap(
		"node_count", mmdbNumber(6, nodes),
		"record_size", mmdbNumber(5, 24),
		"ip_version", mmdbNumber(5, 4),
		"database_type", mmdbText("Test-City-Country-ASN"),
		"binary_format_major_version", mmdbNumber(5, 2),
		"binary_format_minor_version", mmdbNumber(5, 0),
		"build_epoch", mmdbNumber(9, 0),
	)...)
}

// mmdbControl begins a value: its type, and its size.
func mmdbControl(kind, size int) []byte {
	var out []byte
	small := min(size, 29)
	if kind > 7 {
		out = []byte{byte(small), byte(kind - 7)}
	} else {
		out = []byte{byte(kind<<5 | small)}
	}
	if size >= 29 {
		out = append(out, byte(size-29))
	}
	return out
}

func mmdbText(s string) []byte { return append(mmdbControl(2, len(s)), s...) }

// mmdbNumber is an unsigned number of 16, 32 or 64 bits: the types 5, 6 and 9.
func mmdbNumber(kind int, n uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, n)
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return append(mmdbControl(kind, len(b)), b...)
}

// mmdbMap is a map of keys, which are texts, to encoded values.
func mmdbMap(pairs ...any) []byte {
	out := mmdbControl(7, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		out = append(append(out, mmdbText(pairs[i].(string))...), pairs[i+1].([]byte)...)
	}
	return out
}
