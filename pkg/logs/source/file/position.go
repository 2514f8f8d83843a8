package file

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"collector/pkg/durable"
	"collector/pkg/logs/source/positions"
)

// mark is how far a file has been read, and what it is recognized by.
type mark struct {
	fileID
	Real    string `json:",omitempty"` // the path of the file, where that of the tail is a link
	Offset  int64
	HeadLen int64  // of the bytes at the beginning
	Head    uint32 // their checksum
	LastLen int    // of the bytes before Offset
	Last    uint32 // their checksum
	Lines   int64  `json:",omitempty"` // of a compressed file
	Done    bool   `json:",omitempty"` // rotated away and read to its end
	// Sent is the times of lines behind Offset that receivers may have accepted: see
	// encodeRuns.
	Sent string `json:",omitempty"`
}

// imported reports whether the mark comes from another program, which does not record
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

// alloyFile is where Alloy keeps positions, in the same directory.
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
	out := make(map[string]string)
	var failed error
	err := positions.EachOfAlloy(data, func(path, labels, value string) {
		offset, err := strconv.ParseInt(value, 10, 64)
		if err != nil || offset < 0 {
			failed = fmt.Errorf("the position of %s, %q, is not a number", path, value)
			return
		}
		if path != "" {
			out[keyOf(path, labels)] = encodeMarks([]mark{{Offset: offset, Lines: offset}})
		}
	})
	if err != nil {
		return nil, err
	}
	return out, failed
}
