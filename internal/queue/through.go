package queue

import "github.com/redis/go-redis/v9"

// through is a hook that changes nothing. Hooks embed it, and have what they change.
type through struct{}

func (through) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (through) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (through) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
