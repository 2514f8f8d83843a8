package imports

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/durable"
	"collector/pkg/git"
	"collector/pkg/httpclient"
	"collector/pkg/lastgood"
	"collector/pkg/mask"
)

//go:embed import.git.md
var gitPage string

func gitDefinition() component.Definition {
	return component.Define("import.git", NewGit, component.Doc{Page: gitPage})
}

// GitConfig configures import.git.
type GitConfig struct {
	Repository    string        `alloy:"repository,attr"`
	Revision      string        `alloy:"revision,attr,optional"`
	Path          string        `alloy:"path,attr"`
	PullFrequency time.Duration `alloy:"pull_frequency,attr,optional"`
	BasicAuth     *GitBasicAuth `alloy:"basic_auth,block,optional"`
	SSHKey        *GitSSHKey    `alloy:"ssh_key,block,optional"`
}

// GitBasicAuth is a user of a Git server.
type GitBasicAuth struct {
	Username string           `alloy:"username,attr"`
	Password component.Secret `alloy:"password,attr"`
}

// GitSSHKey is a key for repositories by SSH, which are refused.
type GitSSHKey struct {
	Username   string           `alloy:"username,attr"`
	Key        component.Secret `alloy:"key,attr,optional"`
	KeyFile    string           `alloy:"key_file,attr,optional,file"`
	Passphrase component.Secret `alloy:"passphrase,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *GitConfig) SetToDefault() { *c = GitConfig{Revision: "main", PullFrequency: time.Minute} }

// Validate checks what the types allow and a request does not.
func (c *GitConfig) Validate() error {
	const instead = "use an https URL, with basic_auth for a token, or keep a local clone, as git-sync does, and use import.file"
	if c.SSHKey != nil {
		return component.At("ssh_key", errors.New("SSH is not supported for repositories: "+instead))
	}
	u, err := url.Parse(c.Repository)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return component.At("repository", fmt.Errorf("%q is not the HTTP URL of a repository, such as \"https://git.example.com/modules.git\": %s",
			mask.WithoutPasswords(c.Repository), instead))
	}
	if slices.Contains([]string{"HEAD", "FETCH_HEAD", "ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD"}, c.Revision) {
		return component.At("revision", fmt.Errorf("%s is not a revision of the repository: name a branch, a tag or the id of a commit", c.Revision))
	}
	if c.Revision == "" || len(c.Revision) > 1000 || strings.ContainsFunc(c.Revision, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return component.At("revision", fmt.Errorf("%.100q is not the name of a branch or a tag, or the id of a commit", c.Revision))
	}
	if c.PullFrequency < 0 {
		return component.At("pull_frequency", errors.New("must not be negative; 0s reads the repository once"))
	}
	return nil
}

const (
	pullTimeout = time.Minute
	maxPack     = 64 << 20  // bytes of a commit's files, compressed
	maxCheckout = 128 << 20 // bytes of a commit's files
	// packName is the file that has the id of a commit that was in force, a line
	// feed, and its pack. That of one that has not been yet is called like the
	// commit, with packSuffix.
	packName   = "last.pack"
	packSuffix = ".pack"
)

// Git reads a module from a repository.
type Git struct {
	config GitConfig
	o      component.Options
	remote *git.Remote
	dir    string // has a folder for each commit, and the last pack
	at     *lastgood.Value[checkout]

	mu      sync.Mutex
	inForce string // guarded by mu: the commit in packName; "" for none
}

// checkout is a commit that was read.
type checkout struct {
	commit string
	module component.Module
}

// NewGit makes an import.git. It reads the repository; if the server does not answer,
// or has a commit that cannot be used, the last one that was in force serves.
func NewGit(c GitConfig, o component.Options) (*Git, error) {
	o = o.WithDefaults()
	httpConfig := httpclient.Default()
	client, err := httpConfig.New("import.git", o.UserAgent)
	if err != nil {
		return nil, err
	}
	g := &Git{config: c, o: o, remote: &git.Remote{URL: c.Repository, Client: client, MaxPack: maxPack}}
	if c.BasicAuth != nil {
		g.remote.Username, g.remote.Password = c.BasicAuth.Username, string(c.BasicAuth.Password)
	}
	if err := g.own(); err != nil {
		return nil, err
	}
	if err := g.start(); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// own makes the folder of the commits. Repositories and revisions do not see each other's
// files.
func (g *Git) own() (err error) {
	if g.o.CheckOnly {
		g.dir, err = os.MkdirTemp("", "import-git-*")
		return err
	}
	g.dir = filepath.Join(g.o.Dir, digest(g.config.Repository, g.config.Revision))
	return durable.Own(g.dir)
}

// Close removes what a component has made that was only to be checked.
func (g *Git) Close() {
	if g.o.CheckOnly {
		os.RemoveAll(g.dir)
	}
}

func (g *Git) start() error {
	kept, keptPack := g.load()
	g.inForce = kept
	commit, pack, err := g.pull(g.o.Context, kept)
	unread := err
	if err != nil {
		if g.o.Context.Err() != nil {
			return err
		}
		if kept == "" {
			return component.At("repository", component.Absent(err))
		}
		commit = kept
		g.o.Logger.Warn("the repository cannot be read; using the last commit", "commit", kept, "err", err)
	}
	if commit == kept {
		pack = keptPack
	}
	m, err := g.checkOut(commit, pack)
	if err != nil && kept != "" && commit != kept {
		bad := commit
		if last, lastErr := g.checkOut(kept, keptPack); lastErr == nil {
			commit, m, unread, err = kept, last, err, nil
			g.o.Logger.Warn("the commit of the revision cannot be used; the last one that was in force is used", "commit", kept, "unusable", bad, "err", unread)
		}
	}
	if err != nil {
		return component.At("path", err)
	}
	g.at = lastgood.New(checkout{commit, m}, func(a, b checkout) bool { return a.commit == b.commit })
	g.at.Read(g.at.Get(), unread)
	return nil
}

// pull asks for the commit of the revision, and reads it unless it is known.
func (g *Git) pull(ctx context.Context, known string) (commit string, pack []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	defer g.remote.Client.CloseIdleConnections() // the next pull is far away
	commit, err = g.remote.Resolve(ctx, g.config.Revision)
	if err == nil && commit != known {
		pack, err = g.remote.Fetch(ctx, commit)
	}
	if err != nil {
		return "", nil, fmt.Errorf("read %s: %s", g.where(), mask.WithoutPasswords(err.Error()))
	}
	return commit, pack, nil
}

// where is the repository as it is shown.
func (g *Git) where() string { return mask.WithoutPasswords(g.config.Repository) }

// checkOut writes the files of a commit, and its pack for Keep. It returns the module,
// which parses if another is kept that can serve in its place; without one, the parser
// reports what is wrong with the text, and where.
func (g *Git) checkOut(commit string, pack []byte) (m component.Module, err error) {
	files, err := git.Files(pack, commit, maxCheckout)
	if err != nil {
		return m, err
	}
	folder := filepath.Join(g.dir, commit)
	if m, err = g.moduleOf(files, folder); err != nil {
		return m, err
	}
	if kept := g.kept(); kept != "" && commit != kept {
		if err := parses(m); err != nil {
			return m, err
		}
	}
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return m, err
	}
	if err := git.Write(folder, files); err != nil {
		return m, err
	}
	if g.o.CheckOnly || commit == g.kept() {
		return m, nil
	}
	return m, durable.WriteFile(folder+packSuffix, append([]byte(commit+"\n"), pack...))
}

// Keep has the pack of a module that is in force serve at a start without the server.
func (g *Git) Keep(m component.Module) {
	commit := filepath.Base(m.Path)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.o.CheckOnly || commit == g.inForce {
		return
	}
	if err := os.Rename(m.Path+packSuffix, filepath.Join(g.dir, packName)); err != nil {
		g.o.Logger.Warn("cannot save the commit to disk; it is not available after a restart without its server", "path", g.dir, "err", err)
		return
	}
	g.inForce = commit
}

// kept is the commit that serves at a start without the server.
func (g *Git) kept() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inForce
}

// load reads the pack that was kept; without one, commit is empty.
func (g *Git) load() (commit string, pack []byte) {
	text, err := durable.ReadFile(filepath.Join(g.dir, packName), maxPack+100)
	if err != nil {
		return "", nil
	}
	head, pack, ok := bytes.Cut(text, []byte("\n"))
	if _, err := git.Files(pack, string(head), maxCheckout); !ok || err != nil {
		g.o.Logger.Warn("the commit that was kept is damaged; it is read again", "path", g.dir, "err", err)
		return "", nil
	}
	return string(head), pack
}

// moduleOf is the module among the files of a commit, which are in a folder.
func (g *Git) moduleOf(files []git.File, folder string) (component.Module, error) {
	m := component.Module{Key: strings.Join([]string{"git", g.config.Repository, g.config.Revision, g.config.Path}, " "), Path: folder}
	at := strings.TrimPrefix(path.Clean("/"+g.config.Path), "/")
	isFolder := at == ""
	for _, f := range files {
		inside := path.Dir(f.Path) == at || at == "" && !strings.Contains(f.Path, "/")
		isFolder = isFolder || strings.HasPrefix(f.Path, at+"/")
		if f.Path == at || inside && path.Ext(f.Path) == ".alloy" {
			if len(f.Data) > maxModule {
				return m, fmt.Errorf("%s is larger than %d MiB", f.Path, maxModule>>20)
			}
			m.Files = append(m.Files, component.ModuleFile{Name: g.where() + "/" + f.Path, Text: f.Data})
		}
	}
	switch {
	case len(m.Files) > 0:
		return m, nil
	case isFolder:
		return m, fmt.Errorf("folder %q of %s has no file whose name ends in .alloy", g.config.Path, g.where())
	}
	return m, fmt.Errorf("%s at %s has no file or folder %q", g.where(), g.config.Revision, g.config.Path)
}

// parses says why the files of m are no module.
func parses(m component.Module) error {
	_, ds := config.Parse(config.Sources(m.Files))
	if errs := ds.Errors(); len(errs) > 0 {
		return fmt.Errorf("parse the module: %s: %s", errs[0].At, errs[0].Message)
	}
	return nil
}

// Module gives the module as it was last read.
func (g *Git) Module() component.Module { return g.at.Get().module }

// Run reads the repository every pull_frequency, until ctx ends.
func (g *Git) Run(ctx context.Context) error {
	g.tidy(g.at.Get().commit)
	if g.config.PullFrequency == 0 {
		<-ctx.Done()
		return nil
	}
	pull := time.NewTicker(g.config.PullFrequency)
	defer pull.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pull.C:
			g.look(ctx)
		}
	}
}

// look reads the repository. A commit that cannot be read or used leaves the last one
// in force.
func (g *Git) look(ctx context.Context) {
	before := g.at.Get().commit
	commit, pack, err := g.pull(ctx, before)
	if ctx.Err() != nil {
		return
	}
	var m component.Module
	if err == nil && commit != before {
		m, err = g.checkOut(commit, pack)
	}
	changed, failed := g.at.Read(checkout{commit, m}, err)
	if failed {
		g.o.Logger.Warn("no new commit can be used; keeping the last one", "commit", before, "err", err)
	}
	if changed {
		g.o.Logger.Info("the module has a new commit", "commit", commit)
		g.tidy(g.kept(), before, commit)
		g.o.Changed()
	}
}

// tidy removes the files of all commits but these, and of repositories that were
// configured before. New files stay: a reload may be about to use them.
func (g *Git) tidy(keep ...string) {
	packs, _ := filepath.Glob(filepath.Join(g.dir, strings.Repeat("[0-9a-f]", 40)+packSuffix))
	for _, old := range slices.Concat(packs, folders(g.dir, 40), folders(g.o.Dir, len(digest()))) {
		if old == g.dir || slices.Contains(keep, strings.TrimSuffix(filepath.Base(old), packSuffix)) {
			continue
		}
		if info, err := os.Stat(old); err != nil || time.Since(info.ModTime()) < 10*pullTimeout {
			continue
		}
		if err := os.RemoveAll(old); err != nil {
			g.o.Logger.Warn("old files of the repository cannot be removed", "path", old, "err", err)
		}
	}
}

// folders are the folders in dir that are called by so many hexadecimal digits.
func folders(dir string, digits int) []string {
	entries, _ := os.ReadDir(dir)
	var out []string
	for _, e := range entries {
		if _, err := hex.DecodeString(e.Name()); err == nil && len(e.Name()) == digits && e.IsDir() {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out
}

// Health says why the repository cannot be read.
func (g *Git) Health() error {
	return g.at.Health(fmt.Sprintf("the commit %.12s", g.at.Get().commit))
}

// GitStatus is what the debug UI shows.
type GitStatus struct {
	Commit string `json:"commit"`
}

// Status returns a snapshot for the debug UI.
func (g *Git) Status() any { return GitStatus{g.at.Get().commit} }
