package wire

import (
	"bytes"
	"strconv"
)

// Line is what the receiver reads of a log line.
type Line struct {
	Number uint64
	At     int64 // when it was written, in nanoseconds since the epoch
}

// linePrefix begins every line, so that other lines are not counted.
const linePrefix = "bench n="

// Lines calls each with every log line of a logproto.PushRequest that the
// benchmark has written, and other with the number of those it has not.
func Lines(request []byte, each func(Line)) (others int, err error) {
	err = messages(request, 1, func(stream []byte) error {
		return messages(stream, 2, func(entry []byte) error {
			return messages(entry, 2, func(text []byte) error {
				if l, ok := ParseLine(text); ok {
					each(l)
				} else {
					others++
				}
				return nil
			})
		})
	})
	return others, err
}

// AppendLine appends a log line of size bytes and its end of line to b.
func AppendLine(b []byte, l Line, size int) []byte {
	begin := len(b)
	b = append(b, linePrefix...)
	b = strconv.AppendUint(b, l.Number, 10)
	b = append(b, " t="...)
	b = strconv.AppendInt(b, l.At, 10)
	b = append(b, ` level=info msg="request served" method=GET path=/api/v1/items/`...)
	b = strconv.AppendUint(b, l.Number*7919%10000, 10)
	b = append(b, ` status=200 duration_ms=`...)
	b = strconv.AppendUint(b, l.Number*104729%997, 10)
	const filler = ` user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0" referer=https://shop.example.com/`
	for len(b)-begin < size {
		b = append(b, filler[:min(len(filler), size-(len(b)-begin))]...)
	}
	return append(b, '\n')
}

// ParseLine reads a line that AppendLine has written.
func ParseLine(text []byte) (Line, bool) {
	rest, ok := bytes.CutPrefix(text, []byte(linePrefix))
	if !ok {
		return Line{}, false
	}
	number, rest, ok := bytes.Cut(rest, []byte(" t="))
	if !ok {
		return Line{}, false
	}
	at, _, ok := bytes.Cut(rest, []byte(" "))
	if !ok {
		return Line{}, false
	}
	n, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		return Line{}, false
	}
	t, err := strconv.ParseInt(string(at), 10, 64)
	return Line{Number: n, At: t}, err == nil
}
