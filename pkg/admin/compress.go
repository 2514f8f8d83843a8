package admin

import (
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"

	"collector/pkg/component"
)

// minCompressed is the minimum size for which compression pays, in bytes.
const minCompressed = 1 << 10

// compress compresses pages, JSON and assets for clients that accept it.
func compress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !acceptsGzip(r) || ownCompression(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		c := &compressor{ResponseWriter: w}
		defer c.close()
		next.ServeHTTP(c, r)
	})
}

// ownCompression reports whether the handler at path compresses its responses itself.
func ownCompression(path string) bool {
	return path == metricsPath || forPrograms(path) || strings.HasPrefix(path, component.HandlersPath)
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(name, "gzip") {
			refused := strings.Trim(strings.TrimPrefix(strings.ReplaceAll(quality, " ", ""), "q="), "0.") == ""
			return quality == "" || !refused
		}
	}
	return false
}

// compressor compresses a response if its headers show that it is worth it.
type compressor struct {
	http.ResponseWriter
	gzip    *gzip.Writer
	started bool
}

func (c *compressor) WriteHeader(status int) {
	if !c.started {
		c.started = true
		c.start(status, 0)
	}
	c.ResponseWriter.WriteHeader(status)
}

// start decides whether to compress. size is the size of the first part of the
// response, if known.
func (c *compressor) start(status, size int) {
	h := c.Header()
	if status != http.StatusOK && status != http.StatusNotFound || h.Get("Content-Encoding") != "" || h.Get("Content-Range") != "" || !compressible(h.Get("Content-Type")) {
		return
	}
	h.Add("Vary", "Accept-Encoding")
	if size > 0 && size < minCompressed {
		return
	}
	h.Del("Content-Length")
	h.Del("Accept-Ranges")
	h.Set("Content-Encoding", "gzip")
	if tag := h.Get("ETag"); tag != "" {
		h.Set("ETag", "W/"+strings.TrimPrefix(tag, "W/")) // the same in another encoding
	}
	c.gzip, _ = gzip.NewWriterLevel(c.ResponseWriter, gzip.BestSpeed)
}

func compressible(contentType string) bool {
	contentType, _, _ = strings.Cut(contentType, ";")
	switch contentType {
	case "text/html", "text/css", "text/javascript", "application/json", "image/svg+xml", "text/plain":
		return true
	}
	return false
}

func (c *compressor) Write(b []byte) (int, error) {
	if !c.started {
		c.started = true
		c.start(http.StatusOK, len(b))
	}
	if c.gzip != nil {
		return c.gzip.Write(b)
	}
	return c.ResponseWriter.Write(b)
}

// Flush sends what is buffered.
func (c *compressor) Flush() {
	if c.gzip != nil {
		_ = c.gzip.Flush()
	}
	_ = http.NewResponseController(c.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (c *compressor) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *compressor) close() {
	if c.gzip != nil {
		_ = c.gzip.Close() // the client may have disconnected
	}
}
