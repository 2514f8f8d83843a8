package file

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"collector/pkg/durable"
)

// mark is how far a file has been read, and what it is recognized by.
type mark struct {
	fileID
	Offset  int64
	HeadLen int64  // of the bytes at the beginning
	Head    uint32 // their checksum
	LastLen int    // of the bytes before Offset
	Last    uint32 // their checksum
	Lines   int64  `json:",omitempty"` // of a compressed file
	Done    bool   `json:",omitempty"` // rotated away and read to its end
}

// imported reports whether the mark is another program's, which knows no
// identities.
func (m mark) imported() bool { return m.fileID == fileID{} }

// encodeMarks makes the value of a position: the files of a tail, the current one
// last.
func encodeMarks(marks []mark) string {
	b, err := json.Marshal(marks)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(b)
}

func decodeMarks(value string) (marks []mark, err error) {
	err = json.Unmarshal([]byte(value), &marks)
	return marks, err
}

// keyOf is the key of the position of a file that is read with labels.
func keyOf(path, labels string) string { return path + "\x00" + labels }

func splitKey(key string) (path, labels string) {
	path, labels, _ = strings.Cut(key, "\x00")
	return path, labels
}

// noLabels is what Alloy has for the labels of positions that it took over.
const noLabels = "{}"

// alloyFile is where Alloy keeps positions, in the same directory:
//
//	positions:
//	  ? path: /var/log/app.log
//	    labels: '{job="a"}'
//	  : "1234"
const alloyFile = "positions.yml"

// readPositions reads the positions that Alloy left in dir or, if it left none,
// those of legacy, which is Promtail's and has paths as keys.
func readPositions(dir, legacy string) (values map[string]string, from string, err error) {
	from = filepath.Join(dir, alloyFile)
	data, err := durable.ReadFile(from, 0)
	if legacy != "" && (err != nil || len(data) == 0) {
		from = legacy
		data, err = os.ReadFile(legacy)
	}
	if err != nil {
		return nil, from, err
	}
	values, err = parsePositions(data)
	return values, from, err
}

// parsePositions returns positions by key. A file that can't be understood is an
// error; so is an offset, but the others are returned with it.
func parsePositions(data []byte) (map[string]string, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, err
	}
	out := make(map[string]string)
	if len(root.Content) == 0 {
		return out, nil
	}
	var failed error
	eachPair(root.Content[0], func(key, value *yaml.Node) {
		if key.Value != "positions" {
			return
		}
		eachPair(value, func(key, value *yaml.Node) {
			path, labels := key.Value, noLabels
			eachPair(key, func(name, v *yaml.Node) {
				switch name.Value {
				case "path":
					path = v.Value
				case "labels":
					labels = v.Value
				}
			})
			offset, err := strconv.ParseInt(value.Value, 10, 64)
			if err != nil || offset < 0 {
				failed = fmt.Errorf("the position of %s, %q, is not a number", path, value.Value)
				return
			}
			if path != "" {
				out[keyOf(path, labels)] = encodeMarks([]mark{{Offset: offset, Lines: offset}})
			}
		})
	})
	return out, failed
}

// eachPair calls f for the pairs of a mapping; other nodes have none.
func eachPair(n *yaml.Node, f func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		f(n.Content[i], n.Content[i+1])
	}
}
