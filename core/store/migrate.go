package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"tandem/core"
)

//go:embed migrations
var migrations embed.FS

// Migrate brings the tables up to this binary's version; it does nothing when
// they are. On PostgreSQL replicas may call it at once. A database that a newer
// binary has already migrated is refused with NotConfigured.
func (db *DB) Migrate(ctx context.Context) error {
	p, err := db.provider()
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the database's version: %w", scrub(err, db.opts.URL))
	}
	if have > want {
		return core.Errorf(core.NotConfigured, "the database is at version %d, this binary knows %d: start a newer binary", have, want)
	}
	if have == want {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", scrub(err, db.opts.URL))
	}
	return nil
}

// CheckVersion returns NotConfigured unless the tables are of this binary's
// version.
func (db *DB) CheckVersion(ctx context.Context) error {
	p, err := db.provider()
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the database's version: %w", scrub(err, db.opts.URL))
	}
	if have != want {
		return core.Errorf(core.NotConfigured, "the database is at version %d, this binary knows %d: use the binary that serves it", have, want)
	}
	return nil
}

func (db *DB) provider() (*goose.Provider, error) {
	dialect, dir := goose.DialectSQLite3, "migrations/sqlite"
	var options []goose.ProviderOption
	if !db.sqlite {
		dialect, dir = goose.DialectPostgres, "migrations/postgres"
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // looks each second, for five minutes
		if err != nil {
			return nil, fmt.Errorf("migrate the database: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	files, err := fs.Sub(migrations, dir)
	if err != nil {
		return nil, fmt.Errorf("migrate the database: %w", err)
	}
	p, err := goose.NewProvider(dialect, db.writes.DB, files, options...)
	if err != nil {
		return nil, fmt.Errorf("migrate the database: %w", err)
	}
	return p, nil
}
