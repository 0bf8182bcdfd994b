package snapshot

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Entry is one file or folder that an image adds below Home.
type Entry struct {
	Path    string      // below Home, with slashes, such as "workspace/CLAUDE.md"
	Mode    fs.FileMode // permission bits
	Dir     bool
	Content []byte // of a file
}

//go:embed manifest.txt
var manifestText string

//go:embed workspace/CLAUDE.md workspace/README.md
var files embed.FS

// Manifest is everything that an image adds below Home, each folder before what is in it.
var Manifest = readManifest(manifestText)

func readManifest(text string) []Entry {
	var entries []Entry
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		e, err := readEntry(strings.Fields(line))
		if err != nil {
			must(fmt.Errorf("manifest.txt: %q: %w", line, err))
		}
		entries = append(entries, e)
	}
	return entries
}

// readEntry reads the fields of one line: kind, mode, path, and for a file where its content is.
func readEntry(fields []string) (Entry, error) {
	if len(fields) < 3 || fields[0] != "dir" && (fields[0] != "file" || len(fields) != 4) {
		return Entry{}, fmt.Errorf("want: dir MODE PATH, or: file MODE PATH SOURCE")
	}
	mode, err := strconv.ParseUint(fields[1], 8, 9)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Path: fields[2], Mode: fs.FileMode(mode), Dir: fields[0] == "dir"}
	switch {
	case !fs.ValidPath(e.Path):
		return Entry{}, fmt.Errorf("path leaves the home directory")
	case e.Dir:
	case fields[3] == "settings":
		e.Content = settingsFile()
	default:
		e.Content, err = files.ReadFile(fields[3])
	}
	return e, err
}
