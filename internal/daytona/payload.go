package daytona

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
)

// payload is the body of a request. It is kept until the answer is there, so that its length is known and it can be sent
// again; what several share is shared.
type payload struct {
	parts [][]byte
	kind  string
}

// encode is body as it is sent, nil for none.
func encode(body any) (*payload, error) {
	switch b := body.(type) {
	case nil:
		return nil, nil
	case *payload:
		return b, nil
	default:
		raw, err := json.Marshal(b)
		return &payload{parts: [][]byte{raw}, kind: "application/json"}, err
	}
}

// put makes p the body of req.
func (p *payload) put(req *http.Request) {
	if p == nil {
		return
	}
	for _, part := range p.parts {
		req.ContentLength += int64(len(part))
	}
	req.GetBody = func() (io.ReadCloser, error) { return p.open(), nil }
	req.Body = p.open()
	req.Header.Set("Content-Type", p.kind)
}

func (p *payload) open() io.ReadCloser {
	readers := make([]io.Reader, len(p.parts))
	for i, part := range p.parts {
		readers[i] = bytes.NewReader(part)
	}
	return io.NopCloser(io.MultiReader(readers...))
}
