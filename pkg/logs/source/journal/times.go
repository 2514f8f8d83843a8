package journal

import (
	"encoding/json"
	"maps"

	"collector/pkg/logs/source/lines"
)

// A line has the time of its entry, unless that is not after the line before. Which line
// was before depends on when entries of several files became readable. For Loki to store
// a line once that is sent again, because the process died after a receiver had accepted
// it, the times of the lines in a batch are stored before that is delivered.

// sentKey is the key of these times in the store.
const sentKey = "sent"

// times belong to the lines of a file in a batch.
type times struct {
	Through uint64           // the number of the last of their entries
	Moved   map[uint64]int64 `json:",omitempty"` // by the number of the entry, where it is not the entry's
}

// readTimes returns the times that were stored last, by the identifiers of files. What
// can't be read is none.
func readTimes(value string) map[string]*times {
	var out map[string]*times
	if json.Unmarshal([]byte(value), &out) != nil {
		return nil
	}
	return out
}

// stamp is the time of the line of the entry f.next, by which it also sets that of the
// reader: the one that it had before, if it may have been sent.
func (r *reader) stamp(f *file) int64 {
	e := f.next
	at := int64(e.Realtime) * 1000
	if sent := r.sent[f.hex]; sent != nil && e.Seqnum <= sent.Through {
		if moved, ok := sent.Moved[e.Seqnum]; ok {
			at = moved
		}
		r.time = max(r.time, at)
	} else {
		r.time = lines.Time(r.time, at)
		at = r.time
	}
	s := r.sending[f.hex]
	if s == nil {
		s = new(times)
		r.sending[f.hex] = s
	}
	s.Through = max(s.Through, e.Seqnum)
	if at != int64(e.Realtime)*1000 {
		if s.Moved == nil {
			s.Moved = make(map[uint64]int64)
		}
		s.Moved[e.Seqnum] = at
	}
	return at
}

// prepare returns the times of the lines in the batch, and of those that the former process
// may have sent and that are still to be read, to be stored before the batch is delivered.
// Of the batch before, none can be read again.
func (r *reader) prepare() map[string]string {
	for id, sent := range r.sent {
		s := r.sending[id]
		if s == nil {
			r.sending[id] = sent
			continue
		}
		if s.Through >= sent.Through {
			delete(r.sent, id)
			continue
		}
		moved := maps.Clone(sent.Moved)
		maps.DeleteFunc(moved, func(seqnum uint64, _ int64) bool { return seqnum <= s.Through })
		if len(moved) > 0 {
			maps.Copy(moved, s.Moved)
			s.Moved = moved
		}
		s.Through = sent.Through
	}
	values := map[string]string{sentKey: encode(r.sending)}
	clear(r.sending)
	return values
}
