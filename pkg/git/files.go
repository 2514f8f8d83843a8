package git

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
)

// File is a file of a commit.
type File struct {
	Path string // from the root of the repository, with slashes
	Data []byte
}

const (
	maxDepth = 100     // of folders in folders
	maxFiles = 100_000 // in a commit
)

// Files are the files of a commit in a pack, sorted by path. Symbolic links and
// submodules are omitted. Files that are larger than limit together are an error.
func Files(pack []byte, commit string, limit int64) ([]File, error) {
	objects, err := objectsOf(pack, limit)
	if err != nil {
		return nil, fmt.Errorf("read the pack: %w", err)
	}
	o, ok := objects[commit]
	for hops := 0; ok && o.kind == typeTag && hops < 10; hops++ { // a tag of a tag
		o, ok = objects[field(o.data, "object")]
	}
	if !ok || o.kind != typeCommit {
		return nil, fmt.Errorf("the pack does not have the commit %s", commit)
	}
	w := walk{objects: objects, budget: limit}
	if err := w.tree("", field(o.data, "tree"), 0); err != nil {
		return nil, err
	}
	slices.SortFunc(w.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return w.files, nil
}

// field is the value of a field in the head of a commit or a tag.
func field(data []byte, name string) string {
	for l := range bytes.Lines(data) {
		l = bytes.TrimSuffix(l, []byte("\n"))
		if len(l) == 0 {
			return ""
		}
		if value, ok := bytes.CutPrefix(l, []byte(name+" ")); ok {
			return string(value)
		}
	}
	return ""
}

// walk collects the files below trees.
type walk struct {
	objects map[string]object
	budget  int64 // a tree may be in many places
	visits  int
	files   []File
}

// The modes of what a tree has.
const (
	modeTree    = "40000"
	modeFile    = "100644"
	modeProgram = "100755"
	modeShared  = "100664" // as old versions wrote
)

// tree collects what is in the tree of that id. An entry of a tree is
//
//	mode  " "  name  0x00  id (20 bytes)
func (w *walk) tree(folder, id string, depth int) error {
	o, ok := w.objects[id]
	if !ok || o.kind != typeTree {
		return fmt.Errorf("the pack does not have the folder %q", folder)
	}
	if depth > maxDepth {
		return fmt.Errorf("folders are nested more than %d deep", maxDepth)
	}
	for rest := o.data; len(rest) > 0; {
		head, after, ok := bytes.Cut(rest, []byte{0})
		mode, name, named := strings.Cut(string(head), " ")
		if !ok || !named || len(after) < 20 {
			return fmt.Errorf("the folder %q is damaged", folder)
		}
		rest = after[20:]
		if w.visits++; w.visits > maxFiles {
			return fmt.Errorf("the commit has more than %d files", maxFiles)
		}
		if err := w.entry(path.Join(folder, name), mode, name, hex.EncodeToString(after[:20]), depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) entry(at, mode, name, id string, depth int) error {
	switch mode {
	case modeTree, modeFile, modeProgram, modeShared:
	default:
		return nil // a link or a submodule
	}
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\`) || strings.EqualFold(name, ".git") {
		return fmt.Errorf("a file is named %q", at)
	}
	if mode == modeTree {
		return w.tree(at, id, depth+1)
	}
	o, ok := w.objects[id]
	if !ok || o.kind != typeBlob {
		return fmt.Errorf("the pack does not have the file %q", at)
	}
	if w.budget -= int64(len(o.data)); w.budget < 0 {
		return errors.New("the files of the commit are larger than is allowed")
	}
	w.files = append(w.files, File{at, o.data})
	return nil
}

// Write has folder, which exists, hold the files. What it has already stays as it
// is, and so others may write the same at the same time.
func Write(folder string, files []File) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range files {
		if have, err := root.ReadFile(f.Path); err == nil && bytes.Equal(have, f.Data) {
			continue
		}
		if err := root.MkdirAll(path.Dir(f.Path), 0o700); err != nil {
			return err
		}
		temporary := ".new-" + rand.Text()
		if err := root.WriteFile(temporary, f.Data, 0o600); err != nil {
			return err
		}
		if err := root.Rename(temporary, f.Path); err != nil {
			return err
		}
	}
	return nil
}
