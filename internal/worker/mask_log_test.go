package worker

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestTheLogIsMasked(t *testing.T) {
	const key = "sk-ant-secret"
	var out bytes.Buffer
	log := newMask([]string{key}).logger(slog.New(slog.NewJSONHandler(&out, nil)))
	log.With("bound", "b "+key).WithGroup("g").Warn("m "+key, "text", "t "+key, "err", errors.New("e "+key), "n", 7)
	want := `"msg":"m [secret]","bound":"b [secret]","g":{"text":"t [secret]","err":"e [secret]","n":7}`
	if got := out.String(); !strings.Contains(got, want) {
		t.Errorf("log = %s, want %s in it", got, want)
	}
}
