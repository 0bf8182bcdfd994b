package daemon

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// fileTree is the part of the file system that file calls may touch. Paths are absolute and clean.
type fileTree interface {
	open(path string, flag int, perm fs.FileMode) (*os.File, error)
	stat(path string) (fs.FileInfo, error)
	list(path string) ([]fs.FileInfo, error)
	mkdirAll(path string, perm fs.FileMode) error
	remove(path string) error
	removeAll(path string) error
	rename(from, to string) error
}

// newFileTree: a contained daemon sees only what the sandbox may see, so the whole tree is fine, with the rights of
// the sandbox's user. Without isolation it is the sandbox's home and nothing else.
func newFileTree(c Config) (fileTree, error) {
	if c.Contained {
		return wholeTree{c.User}, nil
	}
	root, err := os.OpenRoot(c.Home)
	if err != nil {
		return nil, fmt.Errorf("open the sandbox's home: %w", err)
	}
	return homeTree{root, c.Home}, nil
}

// wholeTree acts with its user's rights on files, never with the daemon's: a link that a prompt laid, say to a file
// of /proc that only root may write, leads nowhere.
type wholeTree struct{ user *User }

// as runs f with the user's rights on files. They belong to the thread (setfsuid(2)), which drops the capabilities
// over files too; a thread whose own rights do not come back is not given back.
func (t wholeTree) as(f func() error) (err error) {
	if t.user == nil {
		return f()
	}
	runtime.LockOSThread()
	_ = unix.Setfsgid(t.user.GID) // reports nothing; asked below
	_ = unix.Setfsuid(t.user.UID)
	defer func() {
		_ = unix.Setfsuid(os.Getuid())
		_ = unix.Setfsgid(os.Getgid())
		if holds(os.Getuid(), os.Getgid()) {
			runtime.UnlockOSThread()
		}
	}()
	if !holds(t.user.UID, t.user.GID) {
		return fmt.Errorf("take the rights of user %d: %w", t.user.UID, fs.ErrPermission)
	}
	return f()
}

// holds reports whether the thread acts on files as uid and gid. Setting an impossible id answers the present one.
func holds(uid, gid int) bool {
	u, _ := unix.SetfsuidRetUid(-1)
	g, _ := unix.SetfsgidRetGid(-1)
	return u == uid && g == gid
}

func (t wholeTree) open(path string, flag int, perm fs.FileMode) (f *os.File, err error) {
	err = t.as(func() error {
		f, err = os.OpenFile(path, flag, perm)
		return err
	})
	return f, err
}

func (t wholeTree) stat(path string) (i fs.FileInfo, err error) {
	err = t.as(func() error {
		i, err = os.Stat(path)
		return err
	})
	return i, err
}

func (t wholeTree) list(path string) (found []fs.FileInfo, err error) {
	err = t.as(func() error {
		entries, err := os.ReadDir(path)
		found = infosOf(entries)
		return err
	})
	return found, err
}

func infosOf(entries []fs.DirEntry) []fs.FileInfo {
	found := make([]fs.FileInfo, 0, len(entries))
	for _, e := range entries {
		if i, err := e.Info(); err == nil { // else it has just gone
			found = append(found, i)
		}
	}
	return found
}

func (t wholeTree) mkdirAll(path string, perm fs.FileMode) error {
	return t.as(func() error { return os.MkdirAll(path, perm) })
}

func (t wholeTree) remove(path string) error {
	return t.as(func() error { return os.Remove(path) })
}

func (t wholeTree) removeAll(path string) error {
	return t.as(func() error { return os.RemoveAll(path) })
}

func (t wholeTree) rename(from, to string) error {
	return t.as(func() error { return os.Rename(from, to) })
}

// homeTree is the sandbox's home only: what lies elsewhere, also through a link, is refused.
type homeTree struct {
	root *os.Root
	home string
}

func (t homeTree) below(path string) (string, error) {
	if path == t.home {
		return ".", nil
	}
	rest, ok := strings.CutPrefix(path, t.home+"/")
	if !ok {
		return "", fmt.Errorf("%s is not in the sandbox's home: %w", path, fs.ErrPermission)
	}
	return filepath.Clean(rest), nil
}

func (t homeTree) open(path string, flag int, perm fs.FileMode) (*os.File, error) {
	path, err := t.below(path)
	if err != nil {
		return nil, err
	}
	return t.root.OpenFile(path, flag, perm)
}

func (t homeTree) stat(path string) (fs.FileInfo, error) {
	path, err := t.below(path)
	if err != nil {
		return nil, err
	}
	return t.root.Stat(path)
}

func (t homeTree) list(path string) ([]fs.FileInfo, error) {
	path, err := t.below(path)
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(t.root.FS(), path)
	return infosOf(entries), err
}

func (t homeTree) mkdirAll(path string, perm fs.FileMode) error {
	path, err := t.below(path)
	if err != nil || path == "." {
		return err
	}
	return t.root.MkdirAll(path, perm)
}

func (t homeTree) remove(path string) error {
	path, err := t.below(path)
	if err != nil {
		return err
	}
	return t.root.Remove(path)
}

func (t homeTree) removeAll(path string) error {
	path, err := t.below(path)
	if err != nil {
		return err
	}
	return t.root.RemoveAll(path)
}

func (t homeTree) rename(from, to string) error {
	from, err := t.below(from)
	if err != nil {
		return err
	}
	if to, err = t.below(to); err != nil {
		return err
	}
	return t.root.Rename(from, to)
}
