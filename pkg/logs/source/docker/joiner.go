package docker

import (
	"collector/pkg/docker"
	"collector/pkg/logs/source/lines"
)

// keepBuffer is the largest buffer that a joiner keeps from line to line.
const keepBuffer = 64 << 10

// rawLine is one line as the container wrote it, without its line end.
type rawLine struct {
	time int64  // Docker's timestamp of the first piece, in nanoseconds
	text []byte // valid until the next call of the joiner; at most limit bytes
	size int    // bytes of the whole line
}

// joiner puts the pieces of the lines of one output stream together. Docker
// breaks a line every 16 KiB. A joiner keeps at most limit bytes.
type joiner struct {
	limit   int
	buf     []byte
	size    int
	time    int64
	pending bool // pieces of an unfinished line are held
}

// add takes the next frame of the stream, and returns a line when the frame
// ends one.
func (j *joiner) add(f docker.Frame) (rawLine, bool) {
	if !j.pending {
		if !f.Partial {
			return rawLine{time: f.Time.UnixNano(), text: f.Text[:min(len(f.Text), j.limit)], size: len(f.Text)}, true
		}
		j.begin(f.Time.UnixNano())
	}
	j.size += len(f.Text)
	if room := j.limit - len(j.buf); room > 0 {
		j.buf = append(j.buf, f.Text[:min(len(f.Text), room)]...)
	}
	if f.Partial {
		return rawLine{}, false
	}
	return j.end(), true
}

func (j *joiner) begin(time int64) {
	if cap(j.buf) > keepBuffer {
		j.buf = nil
	}
	j.buf, j.size, j.time, j.pending = j.buf[:0], 0, time, true
}

// end finishes the line that is held.
func (j *joiner) end() rawLine {
	j.pending = false
	return rawLine{time: j.time, text: j.buf, size: j.size}
}

// appendLine appends l to dst as it is stored, see lines.Append.
func appendLine(dst []byte, l rawLine, limit int) (out []byte, replaced, cut bool) {
	return lines.Append(dst, l.text, int64(l.size), l.size <= len(l.text), limit)
}
