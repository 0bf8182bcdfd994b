package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"sandpiper/internal/job"
)

// lineRows are lines of a batch as columns.
type lineRows struct {
	ids, customs, retries, models []string
	priorities                    []int64
	specs, inputs                 [][]byte
}

func (r lineRows) count() int { return len(r.ids) }

// lineChunk is a row of batch_lines. Its body is a byte that names the way of writing, and then of each line its priority, id, custom
// id, the job that it repeats, model, spec and input, each behind its length. No spec means that of the line before: most
// lines of a batch want the same. It is no JSON, for which the inputs would have to be copied and grow by a third.
type lineChunk struct {
	lines int
	body  []byte
}

const lineBytes = 1 // the way of writing that is described above

// chunksOf encodes lines, as many in each chunk as one write makes jobs.
func chunksOf(lines []job.Job) (chunks []lineChunk, err error) {
	for part := range slices.Chunk(lines, batchChunk) {
		size := 1
		for _, j := range part {
			size += len(j.Spec.Input) + len(j.CustomID) + 128
		}
		c := lineChunk{len(part), append(make([]byte, 0, size), lineBytes)}
		var before []byte
		for _, j := range part {
			spec, err := specOf(j)
			if err != nil {
				return nil, err
			}
			c.body = appendLine(c.body, j, spec, bytes.Equal(spec, before))
			before = spec
		}
		chunks = append(chunks, c)
	}
	return chunks, nil
}

// specOf encodes what is asked for in a line. It refuses what could not be a job: once the batch is accepted, it is too late.
func specOf(j job.Job) (spec []byte, err error) {
	spec, err = json.Marshal(j.Spec)
	switch {
	case err != nil:
		return nil, fmt.Errorf("encode spec: %w", err)
	case j.Spec.Priority.Rank() < 0 || j.ID == "":
		return nil, errors.New("a job needs an id and a known priority")
	case j.Spec.SandboxID != "" || j.Spec.Continues():
		return nil, errors.New("a line names no sandbox and goes on with nothing")
	case !isText(j.ID) || !isText(j.CustomID) || !isText(j.RetryOf) || !isText(j.Spec.Model):
		return nil, errors.New("a line has what is no text")
	}
	return spec, nil
}

func appendLine(to []byte, j job.Job, spec []byte, asBefore bool) []byte {
	if asBefore {
		spec = nil
	}
	to = append(to, byte(j.Spec.Priority.Rank()))
	for _, text := range []string{j.ID, j.CustomID, j.RetryOf, j.Spec.Model} {
		to = append(binary.AppendUvarint(to, uint64(len(text))), text...)
	}
	to = append(binary.AppendUvarint(to, uint64(len(spec))), spec...)
	return append(binary.AppendUvarint(to, uint64(len(j.Spec.Input))), j.Spec.Input...)
}

var errLines = errors.New("the lines of a batch are not as they were written")

// linesIn decodes the body of a chunk, of which the specs and inputs remain parts.
func linesIn(body []byte) (r lineRows, err error) {
	if len(body) == 0 || body[0] != lineBytes {
		return r, errLines
	}
	var spec []byte
	for rest := body[1:]; len(rest) > 0; {
		priority := rest[0]
		rest = rest[1:]
		var part [6][]byte
		for i := range part {
			n, width := binary.Uvarint(rest)
			if width <= 0 || n > uint64(len(rest)-width) {
				return lineRows{}, errLines
			}
			part[i], rest = rest[width:width+int(n)], rest[width+int(n):]
		}
		if len(part[4]) > 0 {
			spec = part[4]
		}
		r.priorities = append(r.priorities, int64(priority))
		r.ids, r.customs = append(r.ids, string(part[0])), append(r.customs, string(part[1]))
		r.retries, r.models = append(r.retries, string(part[2])), append(r.models, string(part[3]))
		r.specs, r.inputs = append(r.specs, spec), append(r.inputs, part[5])
	}
	return r, nil
}

// isText reports whether a text column takes s.
func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// keepLines keeps chunks of lines, of which the first comes after so many others.
func (t *tx) keepLines(ctx context.Context, batchID string, before int64, chunks []lineChunk) error {
	for _, c := range chunks {
		err := t.must(ctx, `INSERT INTO batch_lines (batch_id, first, n, lines) VALUES ($1, $2, $3, $4)`, batchID, before, c.lines, c.body)
		if err != nil {
			return fmt.Errorf("insert lines: %w", err)
		}
		before += int64(c.lines)
	}
	return nil
}

// linesAt reads the chunk of a batch that has the line after so many others. It is empty when that is a job already, or there is none.
func linesAt(ctx context.Context, from querier, batchID string, line int64) (first int64, r lineRows, err error) {
	return scanLines(from.row(ctx, `SELECT first, lines FROM batch_lines WHERE batch_id = $1 AND first <= $2 AND first + n > $2
		ORDER BY first DESC LIMIT 1`, batchID, line))
}

// oldestLines reads the first chunk of a batch; it is empty when there is none.
func oldestLines(ctx context.Context, from querier, batchID string) (first int64, r lineRows, err error) {
	return scanLines(from.row(ctx, `SELECT first, lines FROM batch_lines WHERE batch_id = $1 ORDER BY first LIMIT 1`, batchID))
}

func scanLines(row scanner) (first int64, r lineRows, err error) {
	var body []byte
	if err = row.Scan(&first, &body); noRows(err) {
		return 0, r, nil
	}
	if err == nil {
		r, err = linesIn(body)
	}
	return first, r, wrap(err, "read lines")
}
