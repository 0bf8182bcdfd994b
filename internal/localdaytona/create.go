package localdaytona

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// field is one field of a create body: how to read it and what to say when it has another type.
type field struct {
	name string
	into any
	must string
}

var volumeOf = regexp.MustCompile(`"volumeId"\s*:\s*"([^"]*)"`)

// decodeCreate reads the body of a create. Unknown fields are ignored; every field of a wrong type is named.
func (s *Server) decodeCreate(r *http.Request) (*record, error) {
	body := map[string]json.RawMessage{}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil && r.ContentLength != 0 {
		return nil, apiFault{http.StatusBadRequest, "Invalid JSON in request body"}
	}
	box := &record{User: "daytona", AutoStop: 15, AutoArchive: 10080, AutoDelete: -1, Env: map[string]string{}, Labels: map[string]string{}}
	if err := readFields(body, box); err != nil {
		return nil, err
	}
	switch {
	case has(body, "buildInfo"):
		return nil, apiFault{http.StatusBadRequest, "buildInfo is not supported by the local Daytona: its one image is " + s.image()}
	case has(body, "cpu") || has(body, "gpu") || has(body, "memory") || has(body, "disk"):
		return nil, apiFault{http.StatusBadRequest, "Cannot specify Sandbox resources when using a snapshot"}
	case box.Target != "" && box.Target != regionID:
		return nil, apiFault{http.StatusNotFound, "Region not found"}
	case box.AutoStop < 0:
		return nil, apiFault{http.StatusBadRequest, "Auto-stop interval must be non-negative"}
	}
	if volume := volumeOf.FindSubmatch(body["volumes"]); volume != nil {
		return nil, apiFault{http.StatusNotFound, fmt.Sprintf("Volume '%s' not found", volume[1])}
	}
	for name, value := range box.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return nil, apiFault{http.StatusBadRequest, fmt.Sprintf("env has an impossible name or value: %q", name)}
		}
	}
	var err error
	if box.Snapshot, err = s.useSnapshot(box.Snapshot); err != nil {
		return nil, err
	}
	box.Target = regionID
	if box.AutoArchive == 0 {
		box.AutoArchive = maxAutoArchive
	}
	return box, nil
}

func readFields(body map[string]json.RawMessage, box *record) error {
	var wrong []string
	for _, f := range []field{
		{"name", &box.Name, "must be a string"},
		{"snapshot", &box.Snapshot, "must be a string"},
		{"user", &box.User, "must be a string"},
		{"env", &box.Env, "must be an object"},
		{"labels", &box.Labels, "must be an object"},
		{"public", &box.Public, "must be a boolean value"},
		{"networkBlockAll", &box.BlockNet, "must be a boolean value"},
		{"networkAllowList", &box.AllowList, "must be a string"},
		{"target", &box.Target, "must be a string"},
		{"autoStopInterval", &box.AutoStop, "must be an integer number"},
		{"autoArchiveInterval", &box.AutoArchive, "must be an integer number"},
		{"autoDeleteInterval", &box.AutoDelete, "must be an integer number"},
	} {
		if has(body, f.name) && json.Unmarshal(body[f.name], f.into) != nil {
			wrong = append(wrong, f.name+" "+f.must)
		}
	}
	if len(wrong) > 0 {
		return apiFault{http.StatusBadRequest, strings.Join(wrong, ", ")}
	}
	return nil
}

func has(body map[string]json.RawMessage, name string) bool {
	v, ok := body[name]
	return ok && string(v) != "null"
}
