package explore

import (
	"bytes"
	"compress/gzip"
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

	pprof "github.com/google/pprof/profile"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"google.golang.org/protobuf/proto"

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

// maxUnpacked bounds a profile after decompression.
const maxUnpacked = 64 << 20

type profileStore struct {
	limit, bytes int
	profiles     []Profile // in the order in which they came
	next         uint64
	skipped      uint64
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

// readProfiles reads what a client pushed.
func readProfiles(p pipeline.Profile, now time.Time) ([]Profile, error) {
	if p.Route == pipeline.ProfileIngest {
		read, err := readIngest(p, now)
		return []Profile{read}, err
	}
	request := &pushv1.PushRequest{}
	if err := proto.Unmarshal(p.Body, request); err != nil {
		return nil, fmt.Errorf("decode a push request: %w", err)
	}
	var all []Profile
	var failed error
	for _, series := range request.Series {
		shown := map[string]string{}
		for _, pair := range series.Labels {
			shown[pair.Name] = pair.Value
		}
		for _, sample := range series.Samples {
			read := Profile{Time: now, Service: shown["service_name"], Labels: shown, Size: len(sample.RawProfile)}
			failed = errors.Join(failed, read.pprof(sample.RawProfile))
			all = append(all, read)
		}
	}
	return all, failed
}

// readIngest reads the body of POST /ingest: a pprof as it is or as the part
// "profile" of a form, or another format.
func readIngest(p pipeline.Profile, now time.Time) (Profile, error) {
	query, _ := url.ParseQuery(p.Query) // the receiver has checked what matters of it
	service, shown := readName(query.Get("name"))
	read := Profile{Time: ingestTime(query.Get("until"), now), Service: service, Labels: shown, Format: query.Get("format"), Size: len(p.Body), Types: []ProfileType{}}
	body := p.Body
	kind, parameters, _ := mime.ParseMediaType(p.ContentType)
	if kind == "multipart/form-data" {
		part, err := formPart(body, parameters["boundary"])
		if err != nil {
			return read, err
		}
		body = part
	}
	if read.Format == "" || read.Format == "pprof" {
		return read, read.pprof(body)
	}
	return read, nil
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

// ingestTime reads a Unix time in seconds, or in a finer unit that its length
// tells.
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
func (p *Profile) pprof(raw []byte) error {
	p.Format, p.Types = "pprof", []ProfileType{}
	parsed, err := parsePprof(raw)
	if err != nil {
		return err
	}
	p.raw = raw
	for i, t := range parsed.SampleType {
		total := int64(0)
		for _, sample := range parsed.Sample {
			total += sample.Value[i]
		}
		p.Types = append(p.Types, ProfileType{t.Type, t.Unit, total})
	}
	return nil
}

func parsePprof(raw []byte) (*pprof.Profile, error) {
	if bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		zipped, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, fmt.Errorf("unpack a profile: %w", err)
		}
		if raw, err = io.ReadAll(io.LimitReader(zipped, maxUnpacked+1)); err != nil {
			return nil, fmt.Errorf("unpack a profile: %w", err)
		}
		if len(raw) > maxUnpacked {
			return nil, fmt.Errorf("a profile is larger than %d MiB when it is unpacked", maxUnpacked>>20)
		}
	}
	parsed, err := pprof.ParseUncompressed(raw)
	if err == nil {
		err = parsed.CheckValid()
	}
	if err != nil {
		return nil, fmt.Errorf("decode a profile: %w", err)
	}
	return parsed, nil
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
