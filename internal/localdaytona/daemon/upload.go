package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"os"
	"path"
	"strings"
)

// maxPathBytes bounds a path field of a multipart body; Linux allows no more (PATH_MAX).
const maxPathBytes = 4096

type uploaded struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

// bulkUpload streams many files: for each i, the field files[i].path and then the part files[i].file.
func (t *Toolbox) bulkUpload(w http.ResponseWriter, r *http.Request) error {
	parts, err := r.MultipartReader()
	if err != nil {
		return replyUploadErrors(w, []string{err.Error()})
	}
	paths := map[string]string{} // index → path
	done := []uploaded{}
	var faults []string
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return replyUploadErrors(w, append(faults, err.Error()))
		}
		index, kind, ok := indexOf(part.FormName())
		switch {
		case !ok:
			continue
		case kind == "path":
			b, err := io.ReadAll(io.LimitReader(part, maxPathBytes+1))
			if err != nil || len(b) > maxPathBytes || len(b) == 0 {
				faults = append(faults, fmt.Sprintf("file[%s]: bad .path metadata", index))
				continue
			}
			paths[index] = string(b)
		case paths[index] == "":
			faults = append(faults, fmt.Sprintf("file[%s]: missing .path metadata", index))
		default:
			n, err := t.put(t.config.place(paths[index]), part, 0o755)
			if err != nil {
				faults = append(faults, fmt.Sprintf("file[%s]: %s", index, err))
				continue
			}
			done = append(done, uploaded{paths[index], n})
		}
	}
	if len(faults) > 0 {
		return replyUploadErrors(w, faults)
	}
	return reply(w, http.StatusOK, map[string]any{"files": done})
}

// indexOf reads files[i].path and files[i].file.
func indexOf(field string) (index, kind string, ok bool) {
	rest, ok := strings.CutPrefix(field, "files[")
	if !ok {
		return "", "", false
	}
	index, kind, ok = strings.Cut(rest, "].")
	return index, kind, ok && (kind == "path" || kind == "file")
}

func replyUploadErrors(w http.ResponseWriter, faults []string) error {
	return reply(w, http.StatusBadRequest, map[string]any{"errors": faults, "files": nil})
}

// put writes one file and makes its parents.
func (t *Toolbox) put(at string, content io.Reader, parents fs.FileMode) (int64, error) {
	if err := t.files.mkdirAll(path.Dir(at), parents); err != nil {
		return 0, err
	}
	f, err := t.files.open(at, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, content)
	return n, errors.Join(err, f.Close())
}

// upload is the older single form: a multipart field "file".
func (t *Toolbox) upload(w http.ResponseWriter, r *http.Request) error {
	at, err := t.pathOf(r)
	if err != nil {
		return err
	}
	part, err := filePart(r)
	if err != nil {
		return bare(http.StatusBadRequest)
	}
	if _, err := t.put(at, part, 0o750); err != nil {
		return bareOf(err)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// uploadV2 takes a multipart field "file" or a raw body.
func (t *Toolbox) uploadV2(w http.ResponseWriter, r *http.Request) error {
	at, err := t.pathOf(r)
	if err != nil {
		return err
	}
	content := io.Reader(r.Body)
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		if content, err = filePart(r); err != nil {
			return badRequest("no file in the form")
		}
	}
	if _, err := t.put(at, content, 0o755); err != nil {
		return bareOf(err)
	}
	return reply(w, http.StatusOK, map[string]string{"name": path.Base(at), "path": at, "type": "file"})
}

func filePart(r *http.Request) (*multipart.Part, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, err
	}
	for {
		part, err := parts.NextPart()
		if err != nil || part.FormName() == "file" {
			return part, err
		}
	}
}
