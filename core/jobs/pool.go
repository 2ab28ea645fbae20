package jobs

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"tandem/core"
	"tandem/core/store"
)

// The transactions of River's two drivers.
type (
	rowTx = *sql.Tx
	pgTx  = pgx.Tx
)

// openPool opens River's own few connections to PostgreSQL.
func openPool(ctx context.Context, db *store.DB) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(db.URL())
	if err != nil {
		// The driver's text would repeat the URL with its password.
		return nil, core.Errorf(core.NotConfigured, "database URL cannot be read as a PostgreSQL address")
	}
	config.MaxConns = 4
	return pgxpool.NewWithConfig(ctx, config)
}

// calm is River's logger: it leaves out the engine's own chatter, and that work
// was cut short when the hub stops, which is nobody's fault.
type calm struct{ slog.Handler }

// Enabled lets warnings and errors through.
func (c calm) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && c.Handler.Enabled(ctx, level)
}

// Handle passes on what is worth it.
func (c calm) Handle(ctx context.Context, r slog.Record) error {
	cut := false
	r.Attrs(func(a slog.Attr) bool {
		err, ok := a.Value.Any().(error)
		cut = cut || ok && errors.Is(err, context.Canceled) || a.Value.String() == context.Canceled.Error()
		return !cut
	})
	if cut {
		return nil
	}
	return c.Handler.Handle(ctx, r)
}

// WithAttrs keeps the logger calm.
func (c calm) WithAttrs(attrs []slog.Attr) slog.Handler { return calm{c.Handler.WithAttrs(attrs)} }

// WithGroup keeps the logger calm.
func (c calm) WithGroup(name string) slog.Handler { return calm{c.Handler.WithGroup(name)} }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
