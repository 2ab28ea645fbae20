package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"tandem/authstore"
	"tandem/core"
	"tandem/core/jobs"
	"tandem/core/store"
)

// openDatabase opens the database and brings it up to this binary's version.
func openDatabase(ctx context.Context, c *config, grouped func(int, time.Duration)) (*store.DB, error) {
	if file, ok := strings.CutPrefix(c.DatabaseURL, "sqlite:"); ok {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return nil, fmt.Errorf("data folder: %w", err)
		}
		// The driver would make it readable for everybody.
		f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("database: %w", err)
		}
		_ = f.Close()
	}
	db, err := store.Open(ctx, store.Options{URL: c.DatabaseURL, Clock: core.SystemClock{}, Unsafe: c.UnsafeDurability, Grouped: grouped})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(db.Migrate(ctx), jobs.Migrate(ctx, db)); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// lockDatabase makes sure that only one process serves a SQLite file: nothing
// in its tables is leased. The lock ends with the process.
func lockDatabase(c *config) (release func(), err error) {
	file, ok := strings.CutPrefix(c.DatabaseURL, "sqlite:")
	if !ok {
		return func() {}, nil
	}
	f, err := os.OpenFile(file+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the database: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("another tandem serves %s; several replicas need PostgreSQL", file)
	}
	return func() { _ = f.Close() }, nil
}

const masterKeyCheck = "master-key-check"

// openSealer finds the master key and makes sure that it fits the database. A
// new key is made only for a new SQLite database, never in place of a lost one.
func openSealer(ctx context.Context, c *config, db *store.DB) (*authstore.Sealer, error) {
	check, err := db.Setting(ctx, masterKeyCheck)
	if err != nil && core.KindOf(err) != core.NotFound {
		return nil, err
	}
	key, err := masterKey(c, db.SQLite() && check == nil)
	if err != nil {
		return nil, err
	}
	sealer, err := authstore.NewSealer(key)
	if err != nil {
		return nil, err
	}
	err = db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		check, err = tx.InitSetting(ctx, masterKeyCheck, sealer.Check())
		return err
	})
	if err != nil {
		return nil, err
	}
	return sealer, sealer.Verify(check)
}

func masterKey(c *config, mayCreate bool) (authstore.Key, error) {
	if c.masterKey != "" {
		return authstore.ParseKey(c.masterKey)
	}
	if c.MasterKeyFile != "" {
		return authstore.LoadKeyFile(c.MasterKeyFile)
	}
	file := filepath.Join(c.DataDir, "master.key")
	key, err := authstore.LoadKeyFile(file)
	if mayCreate && errors.Is(err, fs.ErrNotExist) {
		return authstore.CreateKeyFile(file)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return key, fmt.Errorf("the database holds secrets sealed with a master key, and %s is gone: put it back, or name its place with --master-key-file", file)
	}
	return key, err
}

type migrateCommand struct{}

// Run migrates the database; serve does so too, this is for operators who want
// it done before.
func (migrateCommand) Run(ctx context.Context, p *program) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	db, err := openDatabase(ctx, c, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = fmt.Fprintln(p.stdout, "The database is up to date.")
	return err
}
