package localdaytona

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// tree writes files below a new folder and gives that folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestWhereGroupsCanBeMade(t *testing.T) {
	dir := tree(t, map[string]string{
		"v2/user/app/cgroup.subtree_control":      "cpu memory pids\n",
		"v2/user/app/mine/cgroup.subtree_control": "\n",
		"v2/user/cgroup.subtree_control":          "memory\n",
	})
	const rest = " rw shared:1 - "
	for fact, tc := range map[string]struct {
		mounts, own string
		name        string
		want        []string
	}{
		"v1: our own group": {
			"30 20 0:25 / " + dir + "/pids" + rest + "cgroup cgroup rw,pids\n", "4:pids:/a/b\n0::/\n", "pids", []string{"/pids/a/b"},
		},
		"v1 in a container: the mount begins at our group": {
			"30 20 0:25 /a " + dir + "/mem" + rest + "cgroup cgroup rw,memory\n", "4:memory:/a\n", "memory", []string{"/mem"},
		},
		"v1: two controllers share a hierarchy": {
			"30 20 0:25 / " + dir + "/both" + rest + "cgroup cgroup rw,cpu,memory\n", "4:cpu,memory:/x\n", "memory", []string{"/both/x"},
		},
		"v2: beside our own group, nearest first": {
			"30 20 0:25 / " + dir + "/v2" + rest + "cgroup2 cgroup2 rw\n", "0::/user/app/mine\n", "memory", []string{"/v2/user/app", "/v2/user"},
		},
		"v2: only where the controller may be used": {
			"30 20 0:25 / " + dir + "/v2" + rest + "cgroup2 cgroup2 rw\n", "0::/user/app/mine\n", "pids", []string{"/v2/user/app"},
		},
		"no cgroups at all": {"30 20 0:25 / /tmp" + rest + "tmpfs tmpfs rw\n", "", "pids", nil},
	} {
		files := tree(t, map[string]string{"mounts": tc.mounts, "own": tc.own})
		p, err := cgroupPlaces(filepath.Join(files, "mounts"), filepath.Join(files, "own"))
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, w := range tc.want {
			want = append(want, dir+w)
		}
		if got := p.of(tc.name); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", fact, got, want)
		}
	}
}

func TestAMachineWithoutCgroupsIsToldPlainly(t *testing.T) {
	c := places{}.find("memory")
	if c.dir != "" || c.why != "no cgroup with memory here" {
		t.Errorf("found %+v, want none and why", c)
	}
}
