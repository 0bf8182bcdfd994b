package e2e

import (
	"flag"
	"fmt"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"sandpiper/client"
	"sandpiper/internal/redistest"
)

// fast is a stand-in command that speaks the CLI's format, so that many jobs can be in all stages at once.
const fast = `#!/bin/bash
[ "$1" = --version ] && { echo "2.1.330 (stand-in)"; exit 0; }
cat >/dev/null
sleep 0.2
printf '{"type":"system","subtype":"status","status":"requesting"}\n'
printf '{"type":"result","subtype":"success","is_error":false,"num_turns":1,"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1},"result":"4"}\n'
`

// anyRedis is an embedded one, or a real server.
type anyRedis struct {
	url        string
	wipe, stop func()
}

func embeddedRedis(t *testing.T) anyRedis {
	r := miniredis.RunT(t)
	return anyRedis{"redis://" + r.Addr(), r.FlushAll, r.Close}
}

func realRedis(t *testing.T) anyRedis {
	s := redistest.Start(t)
	return anyRedis{s.URL(), func() { s.Flush(t) }, func() { s.Stop(t) }}
}

var redisJobs = flag.Int("redis-jobs", 10, "jobs in all stages when Redis goes")

// TestRedisMayGo: jobs are in all stages when Redis loses everything, or stops for good. Every one finishes.
func TestRedisMayGo(t *testing.T) {
	for name, tc := range map[string]struct {
		redis func(*testing.T) anyRedis
		harm  func(anyRedis)
	}{
		"an embedded one loses everything": {embeddedRedis, func(r anyRedis) { r.wipe() }},
		"an embedded one stops for good":   {embeddedRedis, func(r anyRedis) { r.stop() }},
		"a real one loses everything":      {realRedis, func(r anyRedis) { r.wipe() }},
		"a real one stops for good":        {realRedis, func(r anyRedis) { r.stop() }},
		"a real one is there all the time": {realRedis, func(anyRedis) {}},
	} {
		t.Run(name, func(t *testing.T) {
			r := tc.redis(t)
			h := open(t, "SANDPIPER_CLAUDE="+script(t, fast), "REDIS_URL="+r.url, "SANDPIPER_CONCURRENCY=4")
			var ids []string
			for i := range *redisJobs {
				ids = append(ids, h.submit(t, client.Submit{UserID: fmt.Sprintf("user%d", i%4), Input: "What is 2+2?"}))
				if i == *redisJobs/2 {
					h.ended(t, ids[0]) // some have ended, some run, some wait
					tc.harm(r)
				}
			}
			for _, id := range ids {
				if j := h.ended(t, id); j.State != "succeeded" || j.Tries != 0 {
					t.Errorf("job %s = %s %+v, tries %d", id, j.State, j.Error, j.Tries)
				}
			}
		})
	}
}
