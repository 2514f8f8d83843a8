package linked

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// File is a license, or a notice that has to accompany one.
type File struct {
	Path string // below the module's root
	Text string
	IDs  []string // the licenses in it, as in SPDX; nil for a notice
}

// accepted are the licenses whose conditions are met by including their text and the
// notices and, for MPL-2.0, by saying where the source is.
func accepted() []string {
	return []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "Unlicense", "Zlib"}
}

// otherFiles are license files of software that is not in the program, with the reason.
func otherFiles() map[string]string {
	return map[string]string{
		"github.com/opencontainers/go-digest LICENSE.docs": "of its documentation",
	}
}

// enough is the part of a license file, in percent, that has to be the text of known
// licenses. The rest is names and years.
const enough = 75

var (
	licenseName = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying)([-._].*)?$`)
	noticeName  = regexp.MustCompile(`(?i)^(notice|copyright|patents)([-._].*)?$`)
	source      = regexp.MustCompile(`(?i)\.(go|s|c|h)$`)
)

// files are the license files of m. It is an error if there is none at the root, or
// one that is not known or not accepted.
func (m *module) files() ([]File, error) {
	var files []File
	var errs []error
	licensed := false
	for dir := range m.dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("look for the license of %s: %w", m.path, err)
		}
		for _, e := range entries {
			isLicense, isNotice := licenseName.MatchString(e.Name()), noticeName.MatchString(e.Name())
			if e.IsDir() || !isLicense && !isNotice || source.MatchString(e.Name()) {
				continue
			}
			f, err := m.read(filepath.Join(dir, e.Name()), isLicense)
			if otherFiles()[m.path+" "+f.Path] != "" {
				continue
			}
			errs = append(errs, err)
			files = append(files, f)
			licensed = licensed || isLicense && dir == m.root
		}
	}
	if !licensed {
		errs = append(errs, fmt.Errorf("%s %s has no license file", m.path, m.version))
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, errors.Join(errs...)
}

func (m *module) read(path string, isLicense bool) (File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return File{}, err
	}
	name, err := filepath.Rel(m.root, path)
	if err != nil {
		return File{}, err
	}
	f := File{Path: filepath.ToSlash(name), Text: string(text)}
	if isLicense {
		if f.IDs, err = identify(text); err != nil {
			return f, fmt.Errorf("%s %s: %s: %w", m.path, m.version, f.Path, err)
		}
	}
	return f, nil
}

// identify names the licenses of which text consists.
func identify(text []byte) ([]string, error) {
	found := licensecheck.Scan(text)
	var ids []string
	for _, match := range found.Match {
		if !slices.Contains(accepted(), match.ID) {
			return nil, fmt.Errorf("the license %s is not one of %s", match.ID, strings.Join(accepted(), ", "))
		}
		if !slices.Contains(ids, match.ID) {
			ids = append(ids, match.ID)
		}
	}
	if found.Percent < enough {
		return nil, fmt.Errorf("only %.0f%% of it are known licenses (%s)", found.Percent, strings.Join(ids, ", "))
	}
	slices.Sort(ids)
	return ids, nil
}
