package worker

import (
	"context"
	"log/slog"
)

// logger is log with the secrets masked: an error may repeat what a sandbox printed.
func (m mask) logger(log *slog.Logger) *slog.Logger {
	return slog.New(maskedHandler{log.Handler(), m})
}

type maskedHandler struct {
	slog.Handler
	mask mask
}

// Handle masks the message and the values of a record.
func (h maskedHandler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, h.mask.text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.attr(a))
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

func (h maskedHandler) attr(a slog.Attr) slog.Attr {
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(h.mask.text(v.String()))
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			a.Value = slog.StringValue(h.mask.text(err.Error()))
		}
	}
	return a
}

// WithAttrs keeps the mask: without it the bound values would leave it behind.
func (h maskedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = h.attr(a)
	}
	return maskedHandler{h.Handler.WithAttrs(clean), h.mask}
}

// WithGroup keeps the mask.
func (h maskedHandler) WithGroup(name string) slog.Handler {
	return maskedHandler{h.Handler.WithGroup(name), h.mask}
}
