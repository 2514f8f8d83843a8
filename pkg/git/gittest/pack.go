package gittest

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// The types of objects in a pack.
const (
	Commit   = 1
	Tree     = 2
	Blob     = 3
	Tag      = 4
	RefDelta = 7
)

// Pack is a pack that is made by hand, right or wrong.
type Pack struct {
	bytes.Buffer // the objects
	Count        uint32
}

// Head begins an object of that type and size.
func (p *Pack) Head(kind, size int) {
	first := byte(kind)<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		p.WriteByte(first | 0x80)
		first = byte(size & 0x7f)
	}
	p.WriteByte(first)
	p.Count++
}

// Content is the content of an object.
func (p *Pack) Content(data []byte) {
	z := zlib.NewWriter(p)
	z.Write(data)
	z.Close()
}

// Object adds an object that is no delta, and returns its id.
func (p *Pack) Object(kind int, data []byte) string {
	p.Head(kind, len(data))
	p.Content(data)
	name := map[int]string{Commit: "commit", Tree: "tree", Blob: "blob", Tag: "tag"}[kind]
	sum := sha1.Sum(fmt.Appendf(nil, "%s %d\x00%s", name, len(data), data))
	return hex.EncodeToString(sum[:])
}

// RefDelta adds a delta of an object.
func (p *Pack) RefDelta(base string, delta []byte) {
	p.Head(RefDelta, len(delta))
	id, _ := hex.DecodeString(base)
	p.Write(id)
	p.Content(delta)
}

// Pack is the whole of it.
func (p *Pack) Pack() []byte {
	out := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), p.Count)
	out = append(out, p.Bytes()...)
	sum := sha1.Sum(out)
	return append(out, sum[:]...)
}

// Entry is what a tree has of a file or a folder.
func Entry(mode, name, id string) []byte {
	raw, _ := hex.DecodeString(id)
	return append([]byte(mode+" "+name+"\x00"), raw...)
}

// Handler is a repository with one tag, of these files in its root, where there is
// no git.
func Handler(tag string, files map[string]string) http.Handler {
	var p Pack
	var tree []byte
	for _, name := range slices.Sorted(maps.Keys(files)) {
		tree = append(tree, Entry("100644", name, p.Object(Blob, []byte(files[name])))...)
	}
	commit := p.Object(Commit, []byte("tree "+p.Object(Tree, tree)+"\n\nfiles\n"))
	line := func(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			fmt.Fprint(w, line("version 2\n"), "0000")
			return
		}
		var request bytes.Buffer
		if _, err := request.ReadFrom(r.Body); err == nil && strings.Contains(request.String(), "command=ls-refs") {
			fmt.Fprint(w, line(commit+" refs/tags/"+tag+"\n"), "0000")
			return
		}
		fmt.Fprint(w, line("packfile\n"), line("\x01"+string(p.Pack())), "0000")
	})
}
