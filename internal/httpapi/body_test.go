package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/job"
)

// rawPost sends a request as it stands, writes all of its body before it reads a byte, and reads the answer.
func (h *house) rawPost(head string, body string) answer {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	if _, err := io.WriteString(conn, head+"\r\n\r\n"); err != nil {
		h.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, body); err != nil {
		h.t.Fatalf("the server stopped reading: %v", err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		h.t.Fatalf("no answer: %v", err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, raw}
}

func TestAClientThatSendsItsWholeBodyFirstReadsTheRefusal(t *testing.T) {
	h := newHouse(t)
	const size = 24 << 20 // three times the limit, and more than any socket buffer
	big := `{"userId":"ann","input":"` + strings.Repeat("a", size) + `"}`
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(big), big)
	length := fmt.Sprintf("Content-Length: %d", len(big))
	for name, tc := range map[string]struct {
		head, body string
		status     int
		code       job.Code
	}{
		"too large":              {length, big, http.StatusRequestEntityTooLarge, job.BodyTooLarge},
		"too large, unannounced": {"Transfer-Encoding: chunked", chunked, http.StatusRequestEntityTooLarge, job.BodyTooLarge},
		"from elsewhere":         {length + "\r\nOrigin: https://evil.example", big, http.StatusForbidden, job.OriginNotAllowed},
		"of another type":        {length + "\r\nContent-Encoding: gzip", big, http.StatusUnsupportedMediaType, job.UnsupportedMediaType},
	} {
		t.Run(name, func(t *testing.T) {
			head := "POST /api/knowledge/process HTTP/1.1\r\nHost: " + h.addr + "\r\nContent-Type: application/json\r\n" + tc.head
			wantProblem(t, h.rawPost(head, tc.body), tc.status, tc.code)
		})
	}
	t.Run("asked first, it is told before it sends", func(t *testing.T) {
		head := "POST /api/knowledge/process HTTP/1.1\r\nHost: " + h.addr +
			"\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n" + length
		wantProblem(t, h.rawPost(head, ""), http.StatusRequestEntityTooLarge, job.BodyTooLarge)
	})
	if jobs, _ := h.stored(); jobs != 0 {
		t.Errorf("%d jobs are stored", jobs)
	}
}

func TestABodyThatEndsEarlyIsRefused(t *testing.T) {
	h := newHouse(t)
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /api/knowledge/process HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", h.addr)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, _ := io.ReadAll(res.Body)
	wantProblem(t, answer{res.StatusCode, res.Header, raw}, http.StatusBadRequest, job.BodyIncomplete)
}
