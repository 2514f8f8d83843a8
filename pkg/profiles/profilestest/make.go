package profilestest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"mime/multipart"

	"google.golang.org/protobuf/encoding/protowire"
)

// Pprof makes a small CPU profile, compressed, that no other seq gives.
func Pprof(seq int) []byte {
	var b []byte
	message := func(number protowire.Number, fields ...uint64) {
		var m []byte
		for i, value := range fields {
			m = protowire.AppendTag(m, protowire.Number(i+1), protowire.VarintType)
			m = protowire.AppendVarint(m, value)
		}
		b = protowire.AppendTag(b, number, protowire.BytesType)
		b = protowire.AppendBytes(b, m)
	}
	message(1, 1, 2)             // sample_type: samples, count
	message(2, 1, uint64(seq)+1) // sample: location 1, value
	message(4, 1, 0, 0x1000)     // location
	message(5, 1, 3, 3, 4, 1)    // function
	for _, s := range []string{"", "samples", "count", "main.work", fmt.Sprintf("main-%d.go", seq)} {
		b = protowire.AppendTag(b, 6, protowire.BytesType)
		b = protowire.AppendString(b, s)
	}
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	w.Write(b)
	w.Close()
	return compressed.Bytes()
}

// JFR makes something that looks like a Java flight recording.
func JFR(seq int) []byte {
	return fmt.Appendf(nil, "FLR\x00\x00\x02\x00\x01recording %d\x00\xff", seq)
}

// Part is a part of a multipart body.
type Part struct {
	Name, File string
	Content    []byte
}

// Multipart makes a multipart body and its Content-Type.
func Multipart(parts ...Part) (body []byte, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, part := range parts {
		file, err := w.CreateFormFile(part.Name, part.File)
		if err != nil {
			panic("BUG: write to memory: " + err.Error())
		}
		file.Write(part.Content)
	}
	w.Close()
	return b.Bytes(), w.FormDataContentType()
}
