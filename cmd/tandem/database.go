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
// With serving, nobody else may serve the same SQLite file, in whose tables
// nothing is leased, until release is called or the process ends; without, a
// file that is being served must have this binary's version already.
func openDatabase(ctx context.Context, c *config, serving bool, grouped func(int, time.Duration)) (db *store.DB, release func(), err error) {
	release = func() {}
	migrate := true
	if file, ok := strings.CutPrefix(c.DatabaseURL, "sqlite:"); ok {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return nil, nil, fmt.Errorf("data folder: %w", err)
		}
		unlock, err := lockFile(file + ".lock")
		for end := time.Now().Add(lockTime); serving && errors.Is(err, errLocked) && time.Now().Before(end); {
			time.Sleep(50 * time.Millisecond) // a keys command holds it for a moment
			unlock, err = lockFile(file + ".lock")
		}
		switch {
		case err == nil:
			release = unlock
		case serving || !errors.Is(err, errLocked):
			return nil, nil, fmt.Errorf("%s: %w", file, err)
		default:
			migrate = false
		}
	}
	if db, err = store.Open(ctx, store.Options{URL: c.DatabaseURL, Clock: core.SystemClock{}, Unsafe: c.unsafe, Grouped: grouped}); err == nil {
		if migrate {
			err = errors.Join(db.Migrate(ctx), jobs.Migrate(ctx, db))
		} else {
			err = db.CheckVersion(ctx)
			for end := time.Now().Add(lockTime); err != nil && time.Now().Before(end); {
				time.Sleep(50 * time.Millisecond) // whoever holds the lock may be migrating
				err = db.CheckVersion(ctx)
			}
		}
	}
	if err != nil {
		if db != nil {
			_ = db.Close()
		}
		release()
		return nil, nil, err
	}
	if !serving {
		release()
		release = func() {}
	}
	return db, release, nil
}

// lockTime is how long a command waits for another that is about to end.
const lockTime = 3 * time.Second

var errLocked = errors.New("another tandem serves this database; several replicas need PostgreSQL")

// lockFile takes a lock that ends with the process.
func lockFile(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the database: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, errLocked
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
	keys, err := masterKeys(c, db.SQLite() && check == nil)
	if err != nil {
		return nil, err
	}
	sealer, err := authstore.NewSealer(keys[0], keys[1:]...)
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

// masterKeys returns the keys in force: the first seals, all of them open.
func masterKeys(c *config, mayCreate bool) ([]authstore.Key, error) {
	if c.masterKey != "" {
		return authstore.ParseKeys(strings.ReplaceAll(c.masterKey, ",", "\n"))
	}
	file := keyFile(c)
	keys, err := authstore.LoadKeyFile(file)
	if c.MasterKeyFile != "" || !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	if mayCreate {
		key, err := authstore.CreateKeyFile(file)
		return []authstore.Key{key}, err
	}
	return nil, fmt.Errorf("the database holds secrets sealed with a master key, and %s is gone: put it back, or name its place with --master-key-file", file)
}

func keyFile(c *config) string {
	if c.MasterKeyFile != "" {
		return c.MasterKeyFile
	}
	return filepath.Join(c.DataDir, "master.key")
}

type migrateCommand struct{}

// Run migrates the database; serve does so too, this is for operators who want
// it done before.
func (migrateCommand) Run(ctx context.Context, p *program) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	db, _, err := openDatabase(ctx, c, false, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = fmt.Fprintln(p.stdout, "The database is up to date.")
	return err
}
