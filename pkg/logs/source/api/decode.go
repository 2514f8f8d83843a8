package api

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/jsonscan"
	"collector/pkg/listen"
	"collector/pkg/pipeline"
)

const (
	// entryCost and streamCost are what an entry and a stream take besides their
	// texts, with the room that a slice has for more.
	entryCost  = 2 * int(unsafe.Sizeof(pipeline.Entry{}))
	streamCost = 2*int(unsafe.Sizeof(pipeline.Stream{})) + 64
	// roomStep is how much memory is claimed at once.
	roomStep = 64 << 10
	// maxKeptText and maxKeptStreams bound what a decoder keeps for the next
	// request.
	maxKeptText, maxKeptStreams = 64 << 10, 1000
)

// decoder makes entries of one request, under its claim on the memory. The texts
// of entries are copies: receivers may keep them, and nothing else of a request.
type decoder struct {
	source *Source
	claim  *listen.Claim
	tenant string
	now    time.Time
	room   int // that is claimed and not yet used

	streams []pipeline.Stream
	entries int
	dropped int // entries of streams that the rules drop

	in      jsonscan.Scanner
	text    []byte
	pairs   []labels.Label
	scratch labels.ScratchBuilder
	builder *labels.Builder
}

// begin begins a request.
func (d *decoder) begin(s *Source, claim *listen.Claim, tenant string) {
	d.source, d.claim, d.tenant, d.now = s, claim, tenant, time.Now()
	d.room, d.entries, d.dropped, d.streams = 0, 0, 0, d.streams[:0]
	if d.builder == nil {
		d.builder = labels.NewBuilder(labels.EmptyLabels())
	}
}

// end forgets a request. It reports whether d may be used for another one.
func (d *decoder) end() bool {
	clear(d.streams)
	clear(d.pairs[:cap(d.pairs)])
	d.source, d.claim = nil, nil
	d.in.Reset(nil)
	d.builder.Reset(labels.EmptyLabels())
	return cap(d.streams) <= maxKeptStreams && cap(d.text) <= maxKeptText && cap(d.pairs) <= maxKeptStreams
}

// take claims n bytes.
func (d *decoder) take(n int) error {
	if n <= d.room {
		d.room -= n
		return nil
	}
	more := max(roomStep, n)
	if err := d.claim.Grow(more); err != nil {
		return err
	}
	d.room += more - n
	return nil
}

// copied is text as a string of its own.
func (d *decoder) copied(text []byte) (string, error) {
	if err := d.take(len(text)); err != nil {
		return "", err
	}
	return string(text), nil
}

// time is the time of an entry: what the client says, or now. Each entry of a request
// gets its own time, as Loki keeps only one of several identical entries.
func (d *decoder) time(incoming time.Time) time.Time {
	if d.source.config.UseIncomingTimestamp && !incoming.IsZero() {
		return incoming
	}
	d.now = d.now.Add(1)
	return d.now
}

// append adds an entry to a stream's.
func (d *decoder) append(entries []pipeline.Entry, e pipeline.Entry) ([]pipeline.Entry, error) {
	if err := d.take(entryCost); err != nil {
		return entries, err
	}
	e.Time = d.time(e.Time)
	return append(entries, e), nil
}

// stream adds a stream of a push, whose labels are d.pairs.
func (d *decoder) stream(entries []pipeline.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	size := streamCost
	for _, l := range d.pairs {
		size += 2 * (len(l.Name) + len(l.Value))
	}
	if err := d.take(size); err != nil {
		return err
	}
	lset := d.labels()
	if lset.IsEmpty() {
		d.dropped += len(entries)
		return nil
	}
	lset = pipeline.Public(lset)
	if d.tenant != "" {
		d.builder.Reset(lset)
		lset = d.builder.Set(tenantLabel, d.tenant).Labels()
	}
	d.streams = append(d.streams, pipeline.Stream{Labels: lset, Entries: entries})
	d.entries += len(entries)
	return nil
}

// labels are the labels of a stream: d.pairs, over them the configured ones, and what
// the rules make of both.
func (d *decoder) labels() labels.Labels {
	d.builder.Reset(labels.EmptyLabels())
	for _, l := range d.pairs {
		d.builder.Set(l.Name, l.Value)
	}
	for _, l := range d.source.own {
		d.builder.Set(l.Name, l.Value)
	}
	d.builder.Reset(d.builder.Labels()) // rules need sorted labels
	return d.source.config.RelabelRules.Series(d.builder, d.source.names)
}

// metadata is d.pairs as the metadata of an entry.
func (d *decoder) metadata() labels.Labels {
	d.scratch.Reset()
	for _, l := range distinct(d.pairs) {
		d.scratch.Add(l.Name, l.Value)
	}
	return d.scratch.Labels()
}

// raw reads plain text, an entry a line. It has the configured labels only.
func (d *decoder) raw(r io.Reader) error {
	var entries []pipeline.Entry
	line := func() (err error) {
		text := strings.TrimRight(string(d.text), "\r\n")
		if d.text = d.text[:0]; text == "" {
			return nil
		}
		if err = d.take(len(text)); err == nil {
			entries, err = d.append(entries, pipeline.Entry{Line: text})
		}
		return err
	}
	err := eachLine(r, d.grow, line)
	if err != nil || len(entries) == 0 {
		return err
	}
	d.scratch.Reset()
	for _, l := range d.source.own {
		d.scratch.Add(l.Name, l.Value)
	}
	d.streams = append(d.streams, pipeline.Stream{Labels: d.scratch.Labels(), Entries: entries})
	d.entries = len(entries)
	return nil
}

// eachLine passes the text of r to piece, and calls end at the end of each line.
func eachLine(r io.Reader, piece func([]byte) error, end func() error) error {
	var window [16 << 10]byte
	for {
		n, err := r.Read(window[:])
		for rest := window[:n]; len(rest) > 0; {
			part := rest
			ended := false
			for i, c := range rest {
				if c == '\n' {
					part, ended = rest[:i], true
					break
				}
			}
			if rest = rest[len(part):]; ended {
				rest = rest[1:]
			}
			if err := piece(part); err != nil {
				return err
			}
			if ended {
				if err := end(); err != nil {
					return err
				}
			}
		}
		if err == io.EOF {
			return end()
		}
		if err != nil {
			return err
		}
	}
}

// grow appends a piece to d.text.
func (d *decoder) grow(piece []byte) error {
	if need := len(d.text) + len(piece); need > cap(d.text) {
		if err := d.take(2 * need); err != nil {
			return err
		}
	}
	d.text = append(d.text, piece...)
	return nil
}

// json reads a push in JSON, of one document or several.
func (d *decoder) json(r io.Reader) error {
	d.in.Reset(r)
	streams := 0
	for documents := 0; ; documents++ {
		more, err := d.in.More()
		if err != nil {
			return err
		}
		if !more && documents == 0 {
			return d.in.Unexpected("an object")
		}
		if !more {
			return nil
		}
		err = d.object(func(name []byte) error {
			if !strings.EqualFold(string(name), "streams") {
				return d.in.Skip(1)
			}
			if null, err := d.null(); null {
				return err
			}
			return d.in.List('[', ']', func() error {
				streams++
				return inStream(streams, d.jsonStream())
			})
		})
		if err != nil {
			return err
		}
	}
}

// object reads an object or null. The name is valid until the next call of the
// scanner.
func (d *decoder) object(member func(name []byte) error) error {
	if null, err := d.null(); null {
		return err
	}
	return d.in.List('{', '}', func() error {
		name, err := d.in.Name()
		if err != nil {
			return err
		}
		return member(name)
	})
}

// null reads a null, if one is there.
func (d *decoder) null() (bool, error) {
	if d.in.Next() != 'n' {
		return false, nil
	}
	return true, d.in.Literal("null")
}

var errNoLabels = errors.New(`it has no labels: "stream" is an object of them`)

func (d *decoder) jsonStream() error {
	if d.in.Next() != '{' {
		return d.in.Unexpected("an object")
	}
	var entries []pipeline.Entry
	var pairs []labels.Label
	labeled := false
	err := d.object(func(name []byte) (err error) {
		switch string(name) {
		case "stream":
			labeled = true
			if pairs, err = d.jsonPairs(pairs[:0]); err != nil {
				return err
			}
			for _, l := range pairs {
				if !validName(l.Name) {
					return fmt.Errorf("%.100q is not a valid label name: use letters, digits and _, and no digit at the start", l.Name)
				}
			}
			return nil
		case "values":
			if null, err := d.null(); null {
				return err
			}
			return d.in.List('[', ']', func() (err error) {
				entries, err = d.jsonEntry(entries)
				return err
			})
		}
		return d.in.Skip(1)
	})
	if err == nil && !labeled {
		err = errNoLabels
	}
	if err != nil {
		return err
	}
	d.pairs = append(d.pairs[:0], pairs...)
	return d.stream(entries)
}

// jsonPairs reads an object of texts.
func (d *decoder) jsonPairs(pairs []labels.Label) ([]labels.Label, error) {
	err := d.in.List('{', '}', func() error {
		if err := d.take(2 * int(unsafe.Sizeof(labels.Label{}))); err != nil {
			return err
		}
		name, err := d.in.Name()
		if err != nil {
			return err
		}
		l := labels.Label{}
		if l.Name, err = d.copied(name); err != nil {
			return err
		}
		l.Value, err = d.jsonText()
		pairs = append(pairs, l)
		return err
	})
	return pairs, err
}

// jsonText reads a text of any length.
func (d *decoder) jsonText() (string, error) {
	d.text = d.text[:0]
	if err := d.in.EachPiece(d.grow); err != nil {
		return "", err
	}
	return d.copied(d.text)
}

var errShort = errors.New(`an entry is ["<nanoseconds since the epoch>", "<line>"], and may have an object of structured metadata`)

// jsonEntry reads an entry.
func (d *decoder) jsonEntry(entries []pipeline.Entry) ([]pipeline.Entry, error) {
	var e pipeline.Entry
	n := 0
	err := d.in.List('[', ']', func() (err error) {
		switch n++; n {
		case 1:
			e.Time, err = d.jsonTime()
		case 2:
			e.Line, err = d.jsonText()
		case 3:
			if d.pairs, err = d.jsonPairs(d.pairs[:0]); err == nil {
				e.Metadata = d.metadata()
			}
		default:
			err = d.in.Skip(1)
		}
		return err
	})
	if err == nil && n < 2 {
		err = errShort
	}
	if err != nil {
		return entries, err
	}
	return d.append(entries, e)
}

func (d *decoder) jsonTime() (time.Time, error) {
	text, err := d.in.Text()
	if err != nil {
		return time.Time{}, err
	}
	t, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || text[0] == '+' {
		return time.Time{}, fmt.Errorf("the time %.40q of an entry is not a number of nanoseconds since the epoch, such as \"1700000000000000000\"", text)
	}
	return time.Unix(0, t), nil
}
