package aws

import (
	"bufio"
	"cmp"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func (i *Identity) profile() string {
	return cmp.Or(i.cfg.Profile, i.getenv("AWS_PROFILE"), "default")
}

// file is the path of one of AWS's files.
func (i *Identity) file(variable, name string) string {
	return cmp.Or(i.getenv(variable), filepath.Join(i.getenv("HOME"), ".aws", name))
}

// section reads a section of one of AWS's files.
func (i *Identity) section(path, name string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readSection(f, name)
}

// readSection reads the section with that name: lines "key = value" below "[name]".
func readSection(r io.Reader, name string) (map[string]string, error) {
	values, within := map[string]string{}, false
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			within = strings.Join(strings.Fields(strings.Trim(line, "[]")), " ") == name
		case within:
			if key, value, ok := strings.Cut(line, "="); ok {
				values[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
			}
		}
	}
	return values, lines.Err()
}
