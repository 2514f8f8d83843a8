package journalfile

import (
	"fmt"
	"strconv"
	"strings"
)

// Cursor says which entry is meant, whatever file it is in.
type Cursor struct {
	SeqnumID  ID
	Seqnum    uint64
	Boot      ID
	Monotonic uint64
	Realtime  uint64
	XorHash   uint64
}

// String is the cursor as systemd writes it.
func (c Cursor) String() string {
	return fmt.Sprintf("s=%s;i=%x;b=%s;m=%x;t=%x;x=%x", c.SeqnumID, c.Seqnum, c.Boot, c.Monotonic, c.Realtime, c.XorHash)
}

// ParseCursor reads a cursor. It must have a time or a number; what it lacks is zero, and
// anything else is ignored.
func ParseCursor(s string) (c Cursor, err error) {
	for part := range strings.SplitSeq(s, ";") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "s":
			c.SeqnumID, err = ParseID(value)
		case "i":
			c.Seqnum, err = strconv.ParseUint(value, 16, 64)
		case "b":
			c.Boot, err = ParseID(value)
		case "m":
			c.Monotonic, err = strconv.ParseUint(value, 16, 64)
		case "t":
			c.Realtime, err = strconv.ParseUint(value, 16, 64)
		case "x":
			c.XorHash, err = strconv.ParseUint(value, 16, 64)
		}
		if err != nil {
			return Cursor{}, fmt.Errorf("cursor %q: %w", s, err)
		}
	}
	if c.Realtime == 0 && (c.Seqnum == 0 || c.SeqnumID == ID{}) {
		return Cursor{}, fmt.Errorf("cursor %q has neither a time nor a number", s)
	}
	return c, nil
}
