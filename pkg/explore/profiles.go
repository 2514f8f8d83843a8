package explore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"collector/pkg/pipeline"
)

// Profile is a profile in the window.
type Profile struct {
	ID      uint64            `json:"id"`
	Time    time.Time         `json:"time"` // its end, or when it came
	Service string            `json:"service"`
	Labels  map[string]string `json:"labels"`
	Format  string            `json:"format"` // "pprof", or what the client called it
	Size    int               `json:"size"`
	// Types are what it measures; it is empty for formats that cannot be drawn.
	Types []ProfileType `json:"types"`

	raw  []byte    // of pprof
	came time.Time // here; its own time may be any
}

// size is about what p takes in memory.
func (p *Profile) size() int {
	return len(p.raw) + mapSize(p.Labels) + len(p.Service) + len(p.Format) + profileOverhead
}

// ProfileType is a kind of values in a profile, and their sum.
type ProfileType struct {
	Name  string `json:"name"` // such as "cpu" or "alloc_space"
	Unit  string `json:"unit"`
	Total int64  `json:"total"`
}

const profileOverhead = 500

// maxLabels is how many labels a profile may have.
const maxLabels = 100

// unpackRate is how many bytes of profiles are unpacked in a second, to be kept:
// all questions wait in the meantime. A profile counts unpackOverhead more than its
// length, and maxRatio is how many bytes one byte of gzip may become.
const (
	unpackRate     = 32 << 20
	unpackOverhead = 32 << 10
	maxRatio       = 1032
)

type profileStore struct {
	limit, bytes int
	profiles     []Profile // in the order in which they came
	next         uint64
	skipped      uint64
	second       int64 // the Unix time to which unpacked belongs
	unpacked     int   // bytes
}

func newProfileStore(limit int) *profileStore { return &profileStore{limit: limit, next: 1} }

func (s *profileStore) add(p Profile) {
	if p.size() > s.limit {
		s.skipped++
		return
	}
	p.ID, p.came = s.next, time.Now()
	s.next++
	s.profiles = append(s.profiles, p)
	s.bytes += p.size()
	for s.bytes > s.limit {
		s.drop()
	}
}

func (s *profileStore) drop() {
	s.bytes -= s.profiles[0].size()
	s.profiles[0] = Profile{}
	s.profiles = s.profiles[1:]
}

func (s *profileStore) forget(t time.Time) {
	for len(s.profiles) > 0 && s.profiles[0].came.Before(t) {
		s.drop()
	}
}

func (s *profileStore) stats() Stats {
	st := Stats{Items: len(s.profiles), Bytes: s.bytes, Skipped: s.skipped}
	if len(s.profiles) > 0 {
		st.Oldest = s.profiles[0].came
	}
	return st
}

// unpack unpacks what has come, as far as this second allows.
func (s *profileStore) unpack(raw []byte) ([]byte, error) {
	if now := time.Now().Unix(); now != s.second {
		s.second, s.unpacked = now, 0
	}
	limit := min(unpackedLimit(s.limit), unpackRate-s.unpacked)
	if limit <= 0 {
		return nil, errors.New("too many profiles in this second")
	}
	s.unpacked += unpackOverhead
	unpacked, err := unpack(raw, limit)
	if err != nil { // nobody knows how much has been unpacked
		s.unpacked += min(limit, len(raw)*maxRatio)
	}
	s.unpacked += len(unpacked)
	return unpacked, err
}

// keep keeps what a client pushed, as far as it can be read and is not too
// large. What it does not keep counts as skipped.
func (s *profileStore) keep(p pipeline.Profile, now time.Time) {
	if p.Route == pipeline.ProfileIngest {
		read, raw, err := readIngest(p, now)
		if err == nil && raw != nil {
			err = s.pprof(&read, raw)
		}
		s.addRead(read, err)
		return
	}
	before := s.skipped + s.next
	request := message{rest: p.Body}
	for request.next() {
		if request.number == 1 {
			s.keepSeries(request.bytes, now)
		}
	}
	// What is left could not be read.
	s.skipped += uint64(p.Items) - min(uint64(p.Items), s.skipped+s.next-before)
}

func (s *profileStore) addRead(p Profile, err error) {
	if err != nil {
		s.skipped++
		return
	}
	s.add(p)
}

// keepSeries keeps the profiles of a series in a push request: fields 1 are its
// labels, fields 2 the samples.
func (s *profileStore) keepSeries(data []byte, now time.Time) {
	shown, ok := seriesLabels(data)
	if !ok {
		return
	}
	m := message{rest: data}
	for m.next() {
		if m.number != 2 {
			continue
		}
		sample, raw := message{rest: m.bytes}, []byte{}
		for sample.next() {
			if sample.number == 1 {
				raw = bytes.Clone(sample.bytes)
			}
		}
		read := Profile{Time: now, Service: shown["service_name"], Labels: shown, Size: len(raw)}
		err := sample.err
		if err == nil {
			err = s.pprof(&read, raw)
		}
		s.addRead(read, err)
	}
}

// seriesLabels reports whether the labels can be read, and are not too many.
func seriesLabels(data []byte) (shown map[string]string, ok bool) {
	shown = map[string]string{}
	m := message{rest: data}
	for m.next() {
		if m.number != 1 {
			continue
		}
		name, v := "", ""
		pair := message{rest: m.bytes}
		for pair.next() {
			switch pair.number {
			case 1:
				name = string(pair.bytes)
			case 2:
				v = string(pair.bytes)
			}
		}
		if shown[name] = v; pair.err != nil || len(shown) > maxLabels || !utf8.ValidString(name) || !utf8.ValidString(v) {
			return nil, false
		}
	}
	return shown, m.err == nil
}

// readIngest reads the body of POST /ingest: a pprof as it is or as the part
// "profile" of a form, or another format, whose content is not kept.
func readIngest(p pipeline.Profile, now time.Time) (read Profile, raw []byte, err error) {
	query, _ := url.ParseQuery(p.Query) // the receiver has checked it
	service, shown := readName(query.Get("name"))
	read = Profile{Time: ingestTime(query.Get("until"), now), Service: service, Labels: shown, Format: query.Get("format"), Size: len(p.Body), Types: []ProfileType{}}
	if read.Format != "" && read.Format != "pprof" {
		return read, nil, nil
	}
	kind, parameters, _ := mime.ParseMediaType(p.ContentType)
	if kind != "multipart/form-data" {
		return read, p.Body, nil
	}
	raw, err = formPart(p.Body, parameters["boundary"])
	return read, raw, err
}

func formPart(body []byte, boundary string) ([]byte, error) {
	form := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := form.NextPart()
		if err != nil {
			return nil, fmt.Errorf("find the profile in a form: %w", err)
		}
		if part.FormName() == "profile" {
			return io.ReadAll(part) // it is no larger than the body
		}
	}
}

// readName reads name{label=value,…}.
func readName(s string) (string, map[string]string) {
	name, rest, _ := strings.Cut(s, "{")
	shown := map[string]string{}
	for pair := range strings.SplitSeq(strings.TrimSuffix(rest, "}"), ",") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			shown[strings.TrimSpace(k)] = strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	if service := shown["service_name"]; service != "" {
		name = service
	}
	return name, shown
}

// ingestTime reads a Unix time in seconds, or in a finer unit, according to its length.
func ingestTime(s string, now time.Time) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil || n <= 0:
		return now
	case n < 1e11:
		return time.Unix(n, 0)
	case n < 1e14:
		return time.UnixMilli(n)
	}
	return time.Unix(0, n)
}

// pprof takes raw over as p's content.
func (s *profileStore) pprof(p *Profile, raw []byte) error {
	unpacked, err := s.unpack(raw)
	if err != nil {
		return err
	}
	parsed, err := readStacks(unpacked)
	if err != nil {
		return err
	}
	if err := parsed.totals(); err != nil {
		return err
	}
	p.Format, p.Types, p.raw = "pprof", append([]ProfileType{}, parsed.types...), raw
	return nil
}

// ProfileQuery chooses profiles. What is empty lets everything pass.
type ProfileQuery struct {
	Service string
	Type    string            // a ProfileType's name
	Labels  map[string]string // equal labels
	Since   time.Time
	Until   time.Time // zero: now
	Limit   int       // 50 if it is not from 1 to 500
}

// Profiles lists the profiles that fit q, the newest first.
func (w *Window) Profiles(ctx context.Context, q ProfileQuery) ([]Profile, error) {
	return ask(ctx, w, func() []Profile { return append([]Profile{}, w.profiles.query(q)...) })
}

func (s *profileStore) query(q ProfileQuery) (found []Profile) {
	limit := q.Limit
	if limit < 1 || limit > 500 {
		limit = 50
	}
	for _, p := range slices.Backward(s.profiles) {
		if len(found) == limit {
			break
		}
		if q.matches(&p) {
			found = append(found, p)
		}
	}
	return found
}

func (q *ProfileQuery) matches(p *Profile) bool {
	if q.Service != "" && p.Service != q.Service || p.Time.Before(q.Since) || !q.Until.IsZero() && p.Time.After(q.Until) {
		return false
	}
	for name, v := range q.Labels {
		if p.Labels[name] != v {
			return false
		}
	}
	return q.Type == "" || slices.ContainsFunc(p.Types, func(t ProfileType) bool { return t.Name == q.Type })
}

// ProfileServices lists, for each service, the types that its profiles have.
func (w *Window) ProfileServices(ctx context.Context) (map[string][]string, error) {
	types, err := ask(ctx, w, func() map[string]map[string]bool {
		types := map[string]map[string]bool{}
		for i := range w.profiles.profiles {
			p := &w.profiles.profiles[i]
			if types[p.Service] == nil {
				types[p.Service] = map[string]bool{}
			}
			for _, t := range p.Types {
				types[p.Service][t.Name] = true
			}
		}
		return types
	})
	out := map[string][]string{}
	for service, names := range types {
		out[service] = slices.Sorted(maps.Keys(names))
	}
	return out, err
}
