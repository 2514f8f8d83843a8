// Package git reads one revision of a repository from a server, over HTTP by version
// 2 of Git's protocol, and nothing of its history.
//
//	GET  <url>/info/refs?service=git-upload-pack   what the server can do
//	POST <url>/git-upload-pack  command=ls-refs    which commit a branch or tag is
//	POST <url>/git-upload-pack  command=fetch      that commit with its files, as a pack
package git

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// ErrNoRevision is returned, wrapped, for a revision that the repository does not
// have.
var ErrNoRevision = errors.New("the repository has no such branch or tag")

// maxRefs bounds the lines of an answer about branches and tags.
const maxRefs = 100_000

// Remote is a repository on a server.
type Remote struct {
	URL                string
	Username, Password string // sent if there is one
	Client             *http.Client
	MaxPack            int64 // bytes of a pack
}

// Resolve asks which commit a revision is: a tag, a branch, the full name of a
// reference, or the id of a commit, in this order.
func (r *Remote) Resolve(ctx context.Context, revision string) (commit string, err error) {
	base, err := r.discover(ctx)
	if err != nil {
		return "", err
	}
	names := []string{"refs/tags/" + revision, "refs/heads/" + revision, revision}
	request := line("command=ls-refs\n") + delimLine + line("peel\n")
	for _, name := range names {
		request += line("ref-prefix " + name + "\n")
	}
	found := map[string]string{}
	err = r.post(ctx, base, request+flushLine, func(answer *lines) error {
		for range maxRefs {
			k, text, err := answer.next()
			if err != nil || k == flush {
				return err
			}
			id, rest, _ := strings.Cut(string(text), " ")
			name, rest, _ := strings.Cut(rest, " ")
			if !slices.Contains(names, name) {
				continue
			}
			for _, attribute := range strings.Fields(rest) {
				if of, ok := strings.CutPrefix(attribute, "peeled:"); ok {
					id = of // the commit that a tag with a message is of
				}
			}
			found[name] = id
		}
		return fmt.Errorf("the answer has more than %d branches and tags", maxRefs)
	})
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if id := found[name]; id != "" && !isID(id) {
			return "", fmt.Errorf("%s is %q; only SHA-1 repositories are supported", name, id)
		} else if id != "" {
			return id, nil
		}
	}
	if isID(revision) {
		return revision, nil
	}
	return "", fmt.Errorf("%w: %q (for a commit, use the full id)", ErrNoRevision, revision)
}

// isID reports whether s is the id of an object.
func isID(s string) bool {
	id, err := hex.DecodeString(s)
	return err == nil && len(id) == 20 && strings.ToLower(s) == s
}

// Fetch reads a commit with all of its files, as a pack.
func (r *Remote) Fetch(ctx context.Context, commit string) (pack []byte, err error) {
	base, err := r.discover(ctx)
	if err != nil {
		return nil, err
	}
	request := line("command=fetch\n") + delimLine + line("no-progress\n") + line("ofs-delta\n") +
		line("want "+commit+"\n") + line("deepen 1\n") + line("done\n") + flushLine
	err = r.post(ctx, base, request, func(answer *lines) error {
		pack, err = readPack(answer, r.MaxPack)
		return err
	})
	return pack, err
}

// readPack reads the sections of an answer up to the pack, and that.
func readPack(answer *lines, limit int64) ([]byte, error) {
	for {
		k, text, err := answer.next()
		switch {
		case err != nil:
			return nil, err
		case k == flush:
			return nil, errors.New("the answer has no pack")
		case k == 0 && string(text) == "packfile":
			return sidebands(answer, limit)
		}
	}
}

// sidebands reads a pack that is cut into lines. The first byte of each says what
// the line is: 1 data, 2 progress, 3 an error.
func sidebands(answer *lines, limit int64) ([]byte, error) {
	var pack bytes.Buffer
	for {
		k, text, err := answer.raw()
		switch {
		case err != nil:
			return nil, err
		case k == flush:
			return pack.Bytes(), nil
		case k == delim || len(text) == 0:
			return nil, errors.New("the pack has a line without a sideband")
		case text[0] == 3:
			return nil, errors.New("the server says: " + words(text[1:]))
		case text[0] == 1:
			pack.Write(text[1:])
		}
		if int64(pack.Len()) > limit {
			return nil, fmt.Errorf("the files of the commit exceed %d MiB compressed", limit>>20)
		}
	}
}

// discover asks what the server can do, and returns the URL that requests go to,
// which is another one if the server redirects.
func (r *Remote) discover(ctx context.Context) (base string, err error) {
	const path = "/info/refs?service=git-upload-pack"
	answer, err := r.do(ctx, http.MethodGet, strings.TrimSuffix(r.URL, "/")+path, nil)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	lines := newLines(answer.Body)
	version := false
	for range maxRefs {
		k, text, err := lines.next()
		if err != nil {
			return "", err
		}
		switch s := string(text); {
		case k == 0 && strings.HasPrefix(s, "# service="): // followed by a flush
			if k, _, err = lines.next(); err != nil || k != flush {
				return "", errors.New("the answer does not come from a Git server")
			}
		case k == 0 && s == "version 2":
			version = true
		case k == 0 && strings.HasPrefix(s, "object-format=") && s != "object-format=sha1":
			return "", fmt.Errorf("the repository uses %s; only SHA-1 repositories are supported", s)
		case k == flush && version:
			base, ok := strings.CutSuffix(answer.Request.URL.String(), path)
			if !ok {
				return "", fmt.Errorf("the server redirects to %s, which is not a repository", answer.Request.URL.Redacted())
			}
			return base, nil
		case !version:
			return "", errors.New("the server does not support version 2 of the Git protocol (available since Git 2.18)")
		}
	}
	return "", errors.New("the response is incomplete")
}

func (r *Remote) post(ctx context.Context, base, request string, read func(*lines) error) error {
	answer, err := r.do(ctx, http.MethodPost, base+"/git-upload-pack", []byte(request))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return read(newLines(answer.Body))
}

// do makes a request whose answer is a success.
func (r *Remote) do(ctx context.Context, method, to string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if r.Username != "" || r.Password != "" {
		if own, err := url.Parse(r.URL); err == nil && own.Host == request.URL.Host {
			request.SetBasicAuth(r.Username, r.Password)
		}
	}
	request.Header.Set("Git-Protocol", "version=2")
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-git-upload-pack-request")
		request.Header.Set("Accept", "application/x-git-upload-pack-result")
	}
	answer, err := r.Client.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusOK {
		return answer, nil
	}
	_, _ = io.CopyN(io.Discard, answer.Body, 1<<16)
	answer.Body.Close()
	hint := ""
	if answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusNotFound {
		hint = "; is the URL right, and is basic_auth allowed to read the repository?"
	}
	return nil, fmt.Errorf("the server answers %s%s", answer.Status, hint)
}
