package daemon

import (
	"context"
	"net/http"
	"sync"
)

// StopPath is the daemon's own call, not the protocol's: end everything in the sandbox, then the daemon. The proxy
// never passes it on.
const StopPath = "/.sandpiper/stop"

// Toolbox is the protocol's toolbox API over one sandbox.
type Toolbox struct {
	config Config
	reaper *reaper
	files  fileTree
	stop   func() // asks the daemon to end

	mu       sync.Mutex
	sessions []*session
	made     int // sessions so far, for their folders' names
}

func newToolbox(c Config, r *reaper, stop context.CancelFunc) (*Toolbox, error) {
	files, err := newFileTree(c)
	if err != nil {
		return nil, err
	}
	return &Toolbox{config: c, reaper: r, files: files, stop: stop}, nil
}

// Handler routes the toolbox API. An unknown route is a plain 404 page, as on the platform.
func (t *Toolbox) Handler() http.Handler {
	mux := http.NewServeMux()
	for route, h := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /version":       fixed("version", Version),
		"GET /work-dir":      fixed("dir", t.config.WorkDir),
		"GET /project-dir":   fixed("dir", t.config.WorkDir),
		"GET /user-home-dir": fixed("dir", t.config.Home),

		"POST /process/session":                                   t.createSession,
		"GET /process/session":                                    t.listSessions,
		"GET /process/session/{session}":                          t.getSession,
		"GET /process/session/entrypoint/logs":                    t.entrypointLogs,
		"DELETE /process/session/{session}":                       t.deleteSession,
		"POST /process/session/{session}/exec":                    t.exec,
		"GET /process/session/{session}/command/{command}":        t.getCommand,
		"GET /process/session/{session}/command/{command}/logs":   t.logs,
		"POST /process/session/{session}/command/{command}/input": t.input,
		"POST /process/execute":                                   t.execute,

		"GET /files":                t.listFiles,
		"DELETE /files":             t.deleteFile,
		"GET /files/info":           t.fileInfo,
		"POST /files/folder":        t.makeFolder,
		"POST /files/move":          t.moveFile,
		"POST /files/upload":        t.upload,
		"POST /files/upload-v2":     t.uploadV2,
		"POST /files/bulk-upload":   t.bulkUpload,
		"GET /files/download":       t.download,
		"POST /files/bulk-download": t.bulkDownload,
	} {
		mux.HandleFunc(route, handler(h))
	}
	mux.HandleFunc("POST "+StopPath, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		t.stop()
	})
	return mux
}

func fixed(key, value string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, _ *http.Request) error {
		return reply(w, http.StatusOK, map[string]string{key: value})
	}
}
