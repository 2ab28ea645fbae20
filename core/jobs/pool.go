package jobs

import (
	"context"
	"database/sql"
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

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
