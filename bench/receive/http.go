package receive

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"

	"collector-bench/wire"
)

// maxBody is the largest body that is read, and the largest that it unpacks to.
const maxBody = 64 << 20

// errEncoding is answered with 415, upon which senders switch to snappy.
var errEncoding = errors.New("this Content-Encoding is not accepted")

// buffers are reused from request to request.
type buffers struct{ body, plain []byte }

type server struct {
	now     func() time.Time
	zstd    bool // remote write may come as zstd
	decoder *zstd.Decoder
	pool    sync.Pool // of *buffers

	samples, lines, profiles tally
}

func newServer(acceptZstd bool) *server {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBody))
	if err != nil {
		panic("BUG: zstd decoder: " + err.Error())
	}
	return &server{now: time.Now, zstd: acceptZstd, decoder: decoder, pool: sync.Pool{New: func() any { return new(buffers) }}}
}

func (s *server) metrics(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, &s.samples, func(b *buffers, got *batch) error {
		plain, err := s.unpack(b, r.Header.Get("Content-Encoding"))
		if err != nil {
			return err
		}
		now := s.now()
		return wire.Samples(plain, func(sample wire.Sample) {
			if !sample.Counts() {
				got.others++
				if sample.Failed() {
					got.failed++
				}
				return
			}
			got.add(sample.Number(), now.Sub(time.UnixMilli(sample.Millis)))
		})
	})
}

func (s *server) logs(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, &s.lines, func(b *buffers, got *batch) error {
		plain, err := s.unpack(b, "snappy") // Loki's clients do not declare it
		if err != nil {
			return err
		}
		now := s.now()
		others, err := wire.Lines(plain, func(l wire.Line) { got.add(l.Number, now.Sub(time.Unix(0, l.At))) })
		got.others += uint64(others)
		return err
	})
}

func (s *server) ingest(w http.ResponseWriter, r *http.Request) {
	s.handle(w, r, &s.profiles, func(b *buffers, got *batch) error {
		number, made, err := profileNumber(r.URL.RawQuery)
		if err != nil {
			return err
		}
		if len(b.body) == 0 {
			return errors.New("the profile is empty")
		}
		got.add(number, s.now().Sub(made))
		return nil
	})
}

// profileNumber reads the number of a profile, which is when it began, and the
// time at which it was made, which is when it ended.
func profileNumber(query string) (uint64, time.Time, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return 0, time.Time{}, err
	}
	from, err := strconv.ParseUint(values.Get("from"), 10, 64)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("from: %w", err)
	}
	until, err := strconv.ParseInt(values.Get("until"), 10, 64)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("until: %w", err)
	}
	return from, time.Unix(0, until), nil
}

// handle reads a body, lets read count it and answers.
func (s *server) handle(w http.ResponseWriter, r *http.Request, into *tally, read func(*buffers, *batch) error) {
	b := s.pool.Get().(*buffers)
	defer s.pool.Put(b)
	var got batch
	var err error
	if b.body, err = appendAll(b.body[:0], http.MaxBytesReader(w, r.Body, maxBody)); err == nil {
		err = read(b, &got)
	}
	if errors.Is(err, errEncoding) {
		http.Error(w, err.Error(), http.StatusUnsupportedMediaType)
		return
	}
	into.take(&got, err)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/ingest") {
		w.WriteHeader(http.StatusOK)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// unpack returns the body as it was before compression.
func (s *server) unpack(b *buffers, encoding string) ([]byte, error) {
	var err error
	switch {
	case encoding == "snappy":
		if n, err := snappy.DecodedLen(b.body); err != nil || n > maxBody {
			return nil, fmt.Errorf("snappy: %d bytes unpacked: %w", n, errors.Join(err))
		}
		b.plain, err = snappy.Decode(b.plain[:cap(b.plain)], b.body)
	case encoding == "zstd" && s.zstd:
		b.plain, err = s.decoder.DecodeAll(b.body, b.plain[:0])
	default:
		return nil, errEncoding
	}
	return b.plain, err
}

func appendAll(b []byte, r io.Reader) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}
