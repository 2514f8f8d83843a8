package scrape

import (
	"context"
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"strconv"
	"sync"

	"github.com/klauspost/compress/gzip"

	"collector/pkg/cause"
	"collector/pkg/component"
	"collector/pkg/httpclient"
)

// largestPage bounds a page where the user sets no limit, so that no target
// can fill the memory of the host.
const largestPage = 64 * component.MiB

// fetcher gets pages.
type fetcher struct {
	client    *http.Client
	accept    string
	encoding  string
	userAgent string
	bodyLimit int64 // as the user set it; 0: none
	ceiling   int64 // the limit if the user set none

	buffers buffers
	gzip    sync.Pool // of *gzip.Reader
	trails  httpclient.Trails
}

// fetched is a page as it came.
type fetched struct {
	page        []byte
	contentType string
	from        string // the URL, if a redirect led there
}

// fetch gets a page into a buffer, which the caller gives back. size is a guess
// at its length. c is charged for the buffer.
func (f *fetcher) fetch(ctx context.Context, e *endpoint, size int, c *claim) (got fetched, err error) {
	response, err := f.request(ctx, f.client, e, f.accept)
	if err != nil {
		return got, err
	}
	defer func() {
		// The rest, if any, is read so that the connection can be reused.
		_, _ = io.CopyN(io.Discard, response.Body, 64<<10)
		_ = response.Body.Close()
	}()
	if response.StatusCode != http.StatusOK {
		return got, httpclient.Refusal(response, "metrics")
	}
	page, err := f.body(response, size, c)
	if err != nil {
		f.buffers.put(page)
		return got, e.late(err, true)
	}
	return fetched{page, response.Header.Get("Content-Type"), httpclient.CameFrom(response)}, nil
}

// request asks a target for its page. A timeout is a *cause.Late.
func (f *fetcher) request(ctx context.Context, client *http.Client, e *endpoint, accept string) (*http.Response, error) {
	ctx, trail := f.trails.Begin(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url, nil)
	if err != nil {
		f.trails.End(trail)
		return nil, err
	}
	request.Header.Set("Accept", accept)
	request.Header.Set("Accept-Encoding", f.encoding)
	request.Header.Set("User-Agent", f.userAgent)
	request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", strconv.FormatFloat(e.timeout.Seconds(), 'f', -1, 64))
	response, err := client.Do(request)
	connected := f.trails.End(trail)
	if err != nil {
		return nil, e.late(err, connected)
	}
	return response, nil
}

func (f *fetcher) body(response *http.Response, size int, c *claim) ([]byte, error) {
	from, zipped, err := f.content(response)
	if err != nil {
		return nil, err
	}
	if zipped != nil {
		defer f.gzip.Put(zipped)
	} else if n := response.ContentLength; n > 0 && n < f.ceiling {
		size = int(n)
	}
	limit := f.bodyLimit
	if limit <= 0 {
		limit = f.ceiling
	}
	return f.readAll(from, size, limit, c)
}

// content is an answer's text. zipped, unless it is nil, goes back into f.gzip
// when the text has been read.
func (f *fetcher) content(response *http.Response) (from io.Reader, zipped *gzip.Reader, err error) {
	if response.Header.Get("Content-Encoding") != "gzip" {
		return response.Body, nil, nil
	}
	if zipped, err = f.unzip(response.Body); err != nil {
		return nil, nil, fmt.Errorf("read a gzip page: %w", err)
	}
	return zipped, zipped, nil
}

func (f *fetcher) unzip(from io.Reader) (*gzip.Reader, error) {
	if z, ok := f.gzip.Get().(*gzip.Reader); ok {
		if err := z.Reset(from); err != nil {
			f.gzip.Put(z)
			return nil, err
		}
		return z, nil
	}
	return gzip.NewReader(from)
}

// readAll reads to the end, unless that is at the limit or beyond.
func (f *fetcher) readAll(from io.Reader, size int, limit int64, c *claim) ([]byte, error) {
	// A length that is only announced makes no large buffer.
	page := f.buffers.get(min(size, int(limit), maxGuess) + 512)
	if err := c.take(int64(cap(page))); err != nil {
		return page, err
	}
	for {
		n, err := from.Read(page[len(page):cap(page)])
		page = page[:len(page)+n]
		if int64(len(page)) >= limit {
			if f.bodyLimit <= 0 {
				err = fmt.Errorf("%w: without the argument, %s", errBodySizeLimit, component.Bytes(limit))
			} else {
				err = errBodySizeLimit
			}
			return page, &cause.Limit{Err: err, Argument: "body_size_limit", Most: limit}
		}
		// The parser needs room for two more bytes at the end of the page.
		if cap(page)-len(page) < 64 {
			if err := c.take(int64(cap(page))); err != nil {
				return page, err
			}
			page = f.buffers.grow(page)
		}
		if err == io.EOF {
			return page, nil
		}
		if err != nil {
			return page, err
		}
	}
}

// maxGuess bounds the first buffer for a page.
const maxGuess = 4 << 20

// buffers keeps buffers by their size, so that one large page does not make all
// of them large.
type buffers struct {
	pools [32]sync.Pool // by the number of bits of the size
}

// get returns an empty buffer with room for size bytes.
func (b *buffers) get(size int) []byte {
	class := bits.Len(uint(max(size, 4096) - 1))
	for c := class; c >= class-1; c-- {
		p, ok := b.pools[c].Get().(*[]byte)
		if ok && cap(*p) >= size {
			return (*p)[:0]
		}
		if ok {
			b.pools[c].Put(p)
		}
	}
	// Room for more than asked for would be wasted on a single large page.
	if size > 1<<20 {
		return make([]byte, 0, size+size/16)
	}
	return make([]byte, 0, 1<<class)
}

func (b *buffers) put(page []byte) {
	// The class whose every size fits into this buffer.
	class := bits.Len(uint(cap(page))) - 1
	if class < 12 || class >= len(b.pools) {
		return
	}
	b.pools[class].Put(&page)
}

func (b *buffers) grow(page []byte) []byte {
	larger := append(b.get(2*cap(page)), page...)
	b.put(page)
	return larger
}
