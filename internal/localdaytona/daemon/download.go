package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"time"
)

// boundary is fixed by the protocol.
const boundary = "DAYTONA-FILE-BOUNDARY"

// download sends one file; Range is honoured.
func (t *Toolbox) download(w http.ResponseWriter, r *http.Request) error {
	at, err := t.pathOf(r)
	if err != nil {
		return err
	}
	f, i, err := t.openRegular(at)
	if err != nil {
		return bareOf(err)
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", i.Name()))
	// No modification time: a file that grows within a second must never be answered with 304.
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}

// bulkDownload sends many files in one multipart answer; what cannot be read is a part that says why.
func (t *Toolbox) bulkDownload(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Paths []string `json:"paths"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || len(q.Paths) == 0 {
		return reply(w, http.StatusBadRequest, map[string]string{"error": "request body must be {\"paths\": [paths]} with at least one path"})
	}
	out := multipart.NewWriter(w)
	if err := out.SetBoundary(boundary); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "multipart/form-data; boundary="+boundary)
	for _, p := range q.Paths {
		if err := t.sendPart(out, p, r.URL.Path); err != nil {
			return nil // the client has gone, or the file shrank: without its last boundary the answer is visibly cut
		}
	}
	_ = out.Close()
	return nil
}

func (t *Toolbox) sendPart(out *multipart.Writer, p, route string) error {
	f, i, err := t.openRegular(t.config.place(p))
	if err != nil {
		return sendFaultPart(out, p, route, err)
	}
	defer f.Close()
	header := partHeader("file", p, "application/octet-stream")
	header.Set("Content-Length", strconv.FormatInt(i.Size(), 10))
	part, err := out.CreatePart(header)
	if err != nil {
		return err
	}
	_, err = io.CopyN(part, f, i.Size())
	return err
}

func sendFaultPart(out *multipart.Writer, p, route string, err error) error {
	body := faultBody{
		StatusCode: http.StatusInternalServerError, Code: "FILE_READ_FAILED", Message: err.Error(),
		Timestamp: time.Now().UTC().Format(time.RFC3339Nano), Path: route, Source: "DAYTONA_DAEMON",
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		body.StatusCode, body.Code = http.StatusNotFound, "FILE_NOT_FOUND"
	case errors.Is(err, fs.ErrPermission):
		body.StatusCode, body.Code = http.StatusForbidden, "FILE_ACCESS_DENIED"
	case errors.Is(err, fs.ErrInvalid):
		body.StatusCode, body.Code = http.StatusBadRequest, "INVALID_FILE_PATH"
	}
	part, err := out.CreatePart(partHeader("error", p, "application/json"))
	if err != nil {
		return err
	}
	return json.NewEncoder(part).Encode(body)
}

func partHeader(name, filename, contentType string) textproto.MIMEHeader {
	return textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition(name, filename)},
		"Content-Type":        {contentType},
	}
}
