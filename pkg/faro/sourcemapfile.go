package faro

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// location is where the source maps of some scripts are on disk.
type location struct {
	prefix string
	path   *template.Template
}

// releaseData is what the template of a path may name.
type releaseData struct{ Release string }

func newLocation(c LocationConfig) (*location, error) {
	path, err := template.New("path").Parse(c.Path)
	if err == nil {
		err = path.Execute(io.Discard, releaseData{"1.0"})
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPathTemplate, err)
	}
	return &location{c.MinifiedPathPrefix, path}, nil
}

// file is the path of the source map of a script, below the location's own: its
// release cannot lead out of it, nor its URL. ok is false for a script that the
// location is not for.
func (l *location) file(key mapKey) (path string, ok bool) {
	below, ok := strings.CutPrefix(key.script, l.prefix)
	if !ok || strings.HasSuffix(key.script, "/") {
		return "", false
	}
	var root strings.Builder
	release := strings.TrimLeft(strings.NewReplacer("/", "", `\`, "").Replace(key.release), ".")
	if err := l.path.Execute(&root, releaseData{release}); err != nil {
		return "", false
	}
	below, _, _ = strings.Cut(below, "?")
	parts := []string{root.String()}
	for part := range strings.SplitSeq(below, "/") {
		if part != "" && part != "." && part != ".." {
			parts = append(parts, part)
		}
	}
	return filepath.Join(parts...) + ".map", true
}

var errMapTooLarge = errors.New("it is larger than source maps may be; give the collector more memory")

// readMap reads a file of at most limit bytes; nil: there is none. status is the outcome,
// for a metric.
func readMap(path string, limit int) (content []byte, status string, err error) {
	if strings.Contains(path, "..") {
		return nil, "invalid_path", fmt.Errorf("the path %q has two dots in it, which is not allowed", path)
	}
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "not_found", nil
	case err != nil:
		return nil, "error", err
	}
	defer f.Close()
	if content, err = readLimited(f, limit); err != nil {
		return nil, "error", fmt.Errorf("read %s: %w", path, err)
	}
	return content, "ok", nil
}

// readLimited reads all of r, of which there may be limit bytes.
func readLimited(r io.Reader, limit int) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(content) > limit {
		return nil, errMapTooLarge
	}
	return content, nil
}
