package ui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets
var embedded embed.FS

// assets are the files that pages refer to.
type assets struct {
	files fs.FS
	tags  map[string]string // by path: a digest of the content
}

func loadAssets() assets {
	files, err := fs.Sub(embedded, "assets")
	if err != nil {
		panic("BUG: the assets are not embedded: " + err.Error())
	}
	a := assets{files: files, tags: map[string]string{}}
	_ = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, name)
		sum := sha256.Sum256(text)
		a.tags[name] = hex.EncodeToString(sum[:8])
		return err
	})
	return a
}

// path is the path of a file, with its digest: its content never changes.
func (a assets) path(name string) string { return "/assets/" + name + "?v=" + a.tags[name] }

func (a assets) serve(w http.ResponseWriter, r *http.Request) { a.file(w, r, r.PathValue("path")) }

func (a assets) favicon(w http.ResponseWriter, r *http.Request) { a.file(w, r, "icon.svg") }

func (a assets) file(w http.ResponseWriter, r *http.Request, name string) {
	tag, ok := a.tags[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	text, err := fs.ReadFile(a.files, name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", `"`+tag+`"`)
	cache := "no-cache" // revalidate
	if r.URL.Query().Get("v") == tag {
		cache = "public, max-age=31536000, immutable"
	}
	w.Header().Set("Cache-Control", cache)
	w.Header().Set("Content-Type", contentType(name))
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
}

// contentType does not depend on the machine's own MIME table.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" && !strings.Contains(t, "html") {
		return t
	}
	return "text/plain; charset=utf-8"
}
