package daytona

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// File is a file for a sandbox, or from one.
type File struct {
	Path    string // absolute, or relative to the daemon's working directory; ~ means nothing
	Content []byte
}

// FileInfo is one entry of a folder.
type FileInfo struct {
	Name  string `json:"name"`
	Size  int64  `json:"size"`
	IsDir bool   `json:"isDir"`
	Mode  string `json:"mode"` // e.g. "-rw-r--r--"
}

// Upload writes files in one request and makes their folders. It is not atomic: on an error some may be there.
func (t *Toolbox) Upload(ctx context.Context, files ...File) error {
	f, err := uploadForm(files)
	if err != nil {
		return fmt.Errorf("upload %d files: %w", len(files), err)
	}
	var answer struct {
		Files []struct {
			Path  string `json:"path"`
			Bytes *int64 `json:"bytes"`
		} `json:"files"`
	}
	q := call{method: http.MethodPost, body: f, within: filesWithin}
	if err := t.do(ctx, q, "/files/bulk-upload", &answer); err != nil {
		return fmt.Errorf("upload %d files: %w", len(files), err)
	}
	for i, got := range answer.Files {
		if i < len(files) && got.Bytes != nil && *got.Bytes != int64(len(files[i].Content)) {
			return fmt.Errorf("upload %s: %w: %d of %d bytes arrived", files[i].Path, errAnswer, *got.Bytes, len(files[i].Content))
		}
	}
	return nil
}

// uploadForm puts each path before its file, as the daemon needs it: it writes while it reads.
func uploadForm(files []File) (*payload, error) {
	var raw bytes.Buffer
	w := multipart.NewWriter(&raw)
	for i, file := range files {
		if err := w.WriteField(fmt.Sprintf("files[%d].path", i), file.Path); err != nil {
			return nil, err
		}
		part, err := w.CreateFormFile(fmt.Sprintf("files[%d].file", i), "file")
		if err != nil {
			return nil, err
		}
		if _, err := part.Write(file.Content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return &payload{parts: [][]byte{raw.Bytes()}, kind: w.FormDataContentType()}, nil
}

// Download returns the bytes [from, to) of a file; to < 0 means up to its end. Fewer come when the file is
// shorter, none when from is at or behind its end.
func (t *Toolbox) Download(ctx context.Context, path string, from, to int64) ([]byte, error) {
	if from < 0 || (to >= 0 && to <= from) {
		return nil, nil
	}
	header := http.Header{}
	if from > 0 || to >= 0 {
		last := ""
		if to >= 0 {
			last = strconv.FormatInt(to-1, 10)
		}
		header.Set("Range", fmt.Sprintf("bytes=%d-%s", from, last))
	}
	if t.base == "" {
		return nil, errNoToolbox
	}
	q := call{
		method: http.MethodGet, url: t.base + "/files/download", query: url.Values{"path": {path}},
		header: header, within: filesWithin,
	}
	var content []byte
	err := t.c.read(ctx, q, func(resp *http.Response, body []byte) error {
		content = body
		if resp.StatusCode != http.StatusPartialContent {
			content = cut(body, from, to) // the range was not honoured
		}
		return nil
	})
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusRequestedRangeNotSatisfiable {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("download %s: %w", path, err)
	}
	return content, nil
}

func cut(body []byte, from, to int64) []byte {
	size := int64(len(body))
	if to < 0 || to > size {
		to = size
	}
	return body[min(from, size):to]
}

// BulkDownload returns whole files in one request, in the order of paths. Those that cannot be read are left out
// and named in the error; the others are returned all the same.
func (t *Toolbox) BulkDownload(ctx context.Context, paths ...string) ([]File, error) {
	if t.base == "" {
		return nil, errNoToolbox
	}
	q := call{
		method: http.MethodPost, url: t.base + "/files/bulk-download",
		body: map[string][]string{"paths": paths}, within: filesWithin,
	}
	var files []File
	var faults []error
	err := t.c.read(ctx, q, func(resp *http.Response, body []byte) error {
		var err error
		files, faults, err = readParts(resp.Header.Get("Content-Type"), body)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("download %d files: %w", len(paths), err)
	}
	return files, errors.Join(faults...)
}

func readParts(kind string, body []byte) (files []File, faults []error, err error) {
	_, params, err := mime.ParseMediaType(kind)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: content type %q", errAnswer, kind)
	}
	if !bytes.Contains(body, []byte("--"+params["boundary"]+"--")) {
		return nil, nil, fmt.Errorf("%w: a form without an end", errAnswer) // the reader below takes that for its end
	}
	r := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return files, faults, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errAnswer, err)
		}
		raw, err := io.ReadAll(part)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errAnswer, err)
		}
		path := requested(part)
		if part.FormName() == "error" {
			e := &Error{Status: http.StatusNotFound, Method: http.MethodGet, Path: path}
			e.decode(raw)
			faults = append(faults, e)
			continue
		}
		files = append(files, File{Path: path, Content: raw})
	}
}

// requested is the path that a part answers. Part.FileName would cut it to its last element.
func requested(part *multipart.Part) string {
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	return params["filename"]
}

// List returns the entries of a folder.
func (t *Toolbox) List(ctx context.Context, path string) ([]FileInfo, error) {
	var entries []FileInfo
	q := call{method: http.MethodGet, query: url.Values{"path": {path}}}
	if err := t.do(ctx, q, "/files", &entries); err != nil {
		return nil, fmt.Errorf("list %s: %w", strings.TrimSpace(path), err)
	}
	return entries, nil
}
