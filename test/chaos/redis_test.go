package chaos

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// redisEar follows the commands of one connection (the protocol RESP). Whatever comes after a trapped command is lost.
type redisEar struct {
	proxy   *streamProxy
	mu      sync.Mutex
	pending []byte
	trapped bool
}

func newRedisEar(p *streamProxy) ear { return &redisEar{proxy: p} }

func (e *redisEar) calls(data []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pending = append(e.pending, data...)
	for {
		command, rest, whole := cutCommand(e.pending)
		if !whole {
			return
		}
		e.pending = slices.Clone(rest)
		if kind := redisKind(command); kind != "" && e.proxy.trapped([]string{kind}) {
			e.trapped = true
		}
	}
}

func (e *redisEar) answers(data []byte) (pass int, breaks bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.trapped {
		return 0, true
	}
	return len(data), false
}

// cutCommand cuts the first command off: an array of strings.
func cutCommand(data []byte) (command []string, rest []byte, whole bool) {
	n, rest, ok := cutNumber(data, '*')
	if !ok {
		return nil, nil, false
	}
	for range n {
		var size int
		if size, rest, ok = cutNumber(rest, '$'); !ok || len(rest) < size+2 {
			return nil, nil, false
		}
		command, rest = append(command, string(rest[:size])), rest[size+2:]
	}
	return command, rest, true
}

func cutNumber(data []byte, mark byte) (n int, rest []byte, ok bool) {
	line, rest, ok := bytes.Cut(data, []byte("\r\n"))
	if !ok || len(line) < 2 || line[0] != mark {
		return 0, nil, false
	}
	n, err := strconv.Atoi(string(line[1:]))
	return n, rest, err == nil
}

// redisKind names a command that changes something; "" for the others. asynq's scripts are told apart by the keys that
// they are given.
func redisKind(command []string) string {
	if len(command) == 0 {
		return ""
	}
	switch name := strings.ToLower(command[0]); name {
	case "publish", "sadd", "srem", "zadd", "zrem", "set", "del", "setex", "lpush":
		return name
	case "evalsha", "eval":
		if len(command) < 3 {
			return ""
		}
		n, err := strconv.Atoi(command[2])
		if err != nil || len(command) < 3+n {
			return ""
		}
		var keys []string
		for _, key := range command[3 : 3+n] {
			keys = append(keys, keyWord(key))
		}
		return "script " + strings.Join(keys, " ")
	}
	return ""
}

// keyWord is the word of a key of asynq that says what it holds: asynq:{default}:t:ID → t.
func keyWord(key string) string {
	parts := strings.Split(key, ":")
	for _, part := range parts[1:] {
		if !strings.HasPrefix(part, "{") {
			return part
		}
	}
	return parts[0]
}
