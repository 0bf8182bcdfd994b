package daytona

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// Build says what snapshot to build.
type Build struct {
	Name       string // must be unique: a lost answer is looked up by it
	Dockerfile string // its text; it has no build context

	CPU, MemoryGiB, DiskGiB int // of its sandboxes; 0 leaves it to the platform
}

// buildBody is the request of a snapshot.
type buildBody struct {
	Name  string `json:"name"`
	Build struct {
		Dockerfile string `json:"dockerfileContent"`
	} `json:"buildInfo"`
	CPU    int    `json:"cpu,omitempty"`
	Memory int    `json:"memory,omitempty"`
	Disk   int    `json:"disk,omitempty"`
	Region string `json:"regionId,omitempty"`
}

// BuildSnapshot has a snapshot built and answers at once, when that has hardly begun: Snapshot says how it goes. It asks
// once; when the answer is lost, the snapshot is looked up by its name. ErrConflict: there is another one of that name.
func (c *Client) BuildSnapshot(ctx context.Context, q Build) (Snapshot, error) {
	body := buildBody{Name: q.Name, CPU: q.CPU, Memory: q.MemoryGiB, Disk: q.DiskGiB, Region: c.target}
	body.Build.Dockerfile = q.Dockerfile
	var s Snapshot
	err := c.do(ctx, call{method: http.MethodPost, url: c.base + "/snapshots", body: body}, &s)
	if err != nil && lostOrTaken(err) && !errors.Is(err, ErrConflict) && ctx.Err() == nil {
		if found, missing := c.Snapshot(ctx, q.Name); missing == nil {
			s, err = found, nil
		}
	}
	if err != nil {
		return s, fmt.Errorf("build snapshot %s: %w", q.Name, err)
	}
	return s, nil
}

// Snapshots returns every snapshot that has part in its name, those of the platform itself among them, in no order.
func (c *Client) Snapshots(ctx context.Context, part string) ([]Snapshot, error) {
	query := url.Values{"limit": {"200"}}
	if part != "" {
		query.Set("name", part)
	}
	var all []Snapshot
	for n := 1; ; n++ {
		query.Set("page", strconv.Itoa(n))
		var page struct {
			Items []Snapshot `json:"items"`
			Pages int        `json:"totalPages"`
		}
		if err := c.do(ctx, call{method: http.MethodGet, url: c.base + "/snapshots", query: query}, &page); err != nil {
			return nil, fmt.Errorf("list snapshots: %w", err)
		}
		all = append(all, page.Items...)
		if n >= page.Pages || len(page.Items) == 0 {
			return all, nil
		}
	}
}

// DeleteSnapshot asks the platform to remove a snapshot, by its id: names do not do here. One that is gone is fine.
func (c *Client) DeleteSnapshot(ctx context.Context, id string) error {
	err := c.do(ctx, call{method: http.MethodDelete, url: c.base + "/snapshots/" + url.PathEscape(id)}, nil)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// BuildLog copies the log of a snapshot's build to w, from its byte at on, until the build has ended, the connection has, or
// ctx. It returns where to go on; that it has ended proves nothing about the build. ErrNotFound: there is no log.
func (c *Client) BuildLog(ctx context.Context, id string, at int64, w io.Writer) (next int64, err error) {
	from, err := c.buildLogURL(ctx, id)
	if err != nil {
		return at, err
	}
	q := call{method: http.MethodGet, url: from, query: url.Values{"follow": {"true"}}}
	resp, err := c.send(ctx, q)
	if err != nil {
		return at, err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, answerLimit)) // what there is of it
		return at, c.refusal(q, resp, body)
	}
	if _, err := io.CopyN(io.Discard, resp.Body, at); err != nil { // it always begins at the beginning
		return at, ignoreEOF(err)
	}
	n, err := io.Copy(w, resp.Body)
	if err != nil {
		err = fmt.Errorf("read the build log of snapshot %s: %w", id, err)
	}
	return at + n, err
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// buildLogURL is where the log of a build is: the platform says it, and older ones have it at a place of their own.
func (c *Client) buildLogURL(ctx context.Context, id string) (string, error) {
	place := c.base + "/snapshots/" + url.PathEscape(id) + "/build-logs"
	var told struct {
		URL string `json:"url"`
	}
	err := c.do(ctx, call{method: http.MethodGet, url: place + "-url"}, &told)
	if err == nil && told.URL == "" || errors.Is(err, ErrNotFound) {
		return place, nil
	}
	return told.URL, err
}
