package queue

import (
	"fmt"
	"log/slog"
)

// logger takes what asynq says. All of it is for debugging: whether Redis is there is said by who asks Alive, and a
// lost task is none of anybody's business.
type logger struct{ to *slog.Logger }

func (l logger) say(level string, args []any) {
	l.to.Debug("asynq", "level", level, "says", fmt.Sprint(args...))
}

func (l logger) Debug(args ...any) { l.say("debug", args) }
func (l logger) Info(args ...any)  { l.say("info", args) }
func (l logger) Warn(args ...any)  { l.say("warn", args) }
func (l logger) Error(args ...any) { l.say("error", args) }

// Fatal does not end the process, whatever asynq's interface says: that is for main to decide.
func (l logger) Fatal(args ...any) { l.say("fatal", args) }
