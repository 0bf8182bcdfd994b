package daemon

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strconv"
	"syscall"
	"time"
)

// fileView is the protocol's FileInfo.
type fileView struct {
	Name        string `json:"name"`
	Path        string `json:"path,omitempty"`
	Size        int64  `json:"size"`
	Mode        string `json:"mode"`    // -rw-r--r--
	ModTime     string `json:"modTime"` // Go's form; deprecated
	ModifiedAt  string `json:"modifiedAt"`
	IsDir       bool   `json:"isDir"`
	Owner       string `json:"owner"` // a number
	Group       string `json:"group"`
	Permissions string `json:"permissions"` // 0644
}

func fileViewOf(i fs.FileInfo, at string) fileView {
	v := fileView{
		Name: i.Name(), Path: at, Size: i.Size(), Mode: i.Mode().String(), ModTime: i.ModTime().String(),
		ModifiedAt: i.ModTime().Format(time.RFC3339), IsDir: i.IsDir(), Permissions: fmt.Sprintf("%04o", i.Mode().Perm()),
	}
	if st, ok := i.Sys().(*syscall.Stat_t); ok {
		v.Owner, v.Group = strconv.Itoa(int(st.Uid)), strconv.Itoa(int(st.Gid))
	}
	return v
}

// pathOf is the query's path as it exists here; none is a fault where the caller needs one.
func (t *Toolbox) pathOf(r *http.Request) (string, error) {
	p := r.URL.Query().Get("path")
	if p == "" {
		return "", bare(http.StatusBadRequest)
	}
	return t.config.place(p), nil
}

func (t *Toolbox) listFiles(w http.ResponseWriter, r *http.Request) error {
	depth := 1
	if text := r.URL.Query().Get("depth"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return bare(http.StatusBadRequest)
		}
		depth = n
	}
	dir := t.config.place(r.URL.Query().Get("path")) // none: the working directory
	views := []fileView{}
	if err := t.listBelow(dir, depth, &views); err != nil {
		return bareOf(err)
	}
	return reply(w, http.StatusOK, views)
}

// listBelow adds the entries of dir, each folder's own behind it, depth levels deep. A link is an entry, not a way.
func (t *Toolbox) listBelow(dir string, depth int, views *[]fileView) error {
	found, err := t.files.list(dir)
	if err != nil {
		return err
	}
	for _, i := range found {
		at := path.Join(dir, i.Name())
		*views = append(*views, fileViewOf(i, at))
		if i.IsDir() && depth > 1 {
			_ = t.listBelow(at, depth-1, views) // closed to us, or just gone: the entry itself is told
		}
	}
	return nil
}

func (t *Toolbox) fileInfo(w http.ResponseWriter, r *http.Request) error {
	at, err := t.pathOf(r)
	if err != nil {
		return err
	}
	i, err := t.files.stat(at)
	if err != nil {
		return bareOf(err)
	}
	return reply(w, http.StatusOK, fileViewOf(i, at))
}

func (t *Toolbox) makeFolder(w http.ResponseWriter, r *http.Request) error {
	at, err := t.pathOf(r)
	if err != nil {
		return err
	}
	perm := fs.FileMode(0o755)
	if mode := r.URL.Query().Get("mode"); mode != "" {
		bits, err := strconv.ParseUint(mode, 8, 12)
		if err != nil {
			return bare(http.StatusBadRequest)
		}
		perm = fs.FileMode(bits & 0o777)
	}
	if err := t.files.mkdirAll(at, perm); err != nil {
		return bareOf(err)
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (t *Toolbox) deleteFile(w http.ResponseWriter, r *http.Request) error {
	at, err := t.pathOf(r)
	if err != nil {
		return err
	}
	i, err := t.files.stat(at)
	if err != nil {
		return t.deleteLink(w, at, err)
	}
	if !i.IsDir() {
		err = t.files.remove(at)
	} else if r.URL.Query().Get("recursive") == "true" {
		err = t.files.removeAll(at)
	} else {
		return bare(http.StatusBadRequest)
	}
	if err != nil {
		return bareOf(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// deleteLink removes a link that leads nowhere (or out of the tree), which stat cannot see.
func (t *Toolbox) deleteLink(w http.ResponseWriter, at string, statErr error) error {
	if err := t.files.remove(at); err != nil {
		return bareOf(statErr)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (t *Toolbox) moveFile(w http.ResponseWriter, r *http.Request) error {
	from, to := r.URL.Query().Get("source"), r.URL.Query().Get("destination")
	if from == "" || to == "" {
		return bare(http.StatusBadRequest)
	}
	if err := t.files.rename(t.config.place(from), t.config.place(to)); err != nil {
		return bareOf(err)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// openRegular opens a file for reading. Pipes and devices could block or never end; they are refused.
func (t *Toolbox) openRegular(at string) (*os.File, fs.FileInfo, error) {
	f, err := t.files.open(at, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	i, err := f.Stat()
	if err == nil && !i.Mode().IsRegular() {
		err = fmt.Errorf("open %s: %w", at, fs.ErrInvalid)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, i, nil
}
