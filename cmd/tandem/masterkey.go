package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"tandem/authstore"
	"tandem/core/store"
)

// masterKeyCommand works on the file of the master key. Its first line seals,
// every line opens; a running hub takes over a changed file by itself.
type masterKeyCommand struct {
	Add    masterKeyAdd    `cmd:"" help:"Write a new key to the end of the file: it opens and does not seal yet."`
	Use    masterKeyUse    `cmd:"" help:"Put the last key first: it seals from now on, and the hub seals everything anew."`
	Status masterKeyStatus `cmd:"" help:"Show how many secrets are sealed under each key."`
	Prune  masterKeyPrune  `cmd:"" help:"Take the keys under which nothing is sealed out of the file."`
}

// edited runs edit over the keys of the file, and writes what it returns.
func (p *program) edited(edit func(c *config, keys []authstore.Key) ([]authstore.Key, error), said string) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	if c.masterKey != "" {
		return errors.New("the master key comes from TANDEM_MASTER_KEY: change it there, several keys with commas between")
	}
	keys, err := authstore.LoadKeyFile(keyFile(c))
	if err != nil {
		return err
	}
	if keys, err = edit(c, keys); err != nil {
		return err
	}
	if err := authstore.ReplaceKeyFile(keyFile(c), keys); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, said+"\n", keyFile(c))
	return err
}

type masterKeyAdd struct{}

// Run adds a key.
func (masterKeyAdd) Run(p *program) error {
	return p.edited(func(_ *config, keys []authstore.Key) ([]authstore.Key, error) {
		return append(keys, authstore.NewKey()), nil
	}, "A new key is in %s. Bring the file to every replica, wait two seconds, then: tandem master-key use")
}

type masterKeyUse struct{}

// Run puts the last key first.
func (masterKeyUse) Run(p *program) error {
	return p.edited(func(_ *config, keys []authstore.Key) ([]authstore.Key, error) {
		if len(keys) == 1 {
			return nil, errors.New("there is one key only: tandem master-key add makes another")
		}
		last := len(keys) - 1
		return append([]authstore.Key{keys[last]}, keys[:last]...), nil
	}, "The new key is the first in %s and seals from now on. A running hub seals everything anew within a minute; tandem master-key status tells how far it is, tandem master-key prune ends the old key.")
}

type masterKeyStatus struct{}

// Run lists the keys.
func (masterKeyStatus) Run(ctx context.Context, p *program) error {
	return p.keyed(ctx, func(c *config, db *store.DB) error {
		keys, err := masterKeys(c, false)
		if err != nil {
			return err
		}
		counts, err := authstore.Sealed(ctx, db)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "KEY\tUSE\tSECRETS")
		for i, key := range keys {
			use := "opens"
			if i == 0 {
				use = "seals"
			}
			fmt.Fprintf(w, "%s\t%s\t%d\n", key.ID(), use, counts[key.ID()])
			delete(counts, key.ID())
		}
		for id, n := range counts {
			fmt.Fprintf(w, "%s\tmissing\t%d\n", id, n)
		}
		return w.Flush()
	})
}

type masterKeyPrune struct{}

// Run removes unused keys.
func (masterKeyPrune) Run(ctx context.Context, p *program) error {
	return p.keyed(ctx, func(_ *config, db *store.DB) error {
		return p.edited(func(_ *config, keys []authstore.Key) ([]authstore.Key, error) {
			counts, err := authstore.Sealed(ctx, db)
			if err != nil {
				return nil, err
			}
			for _, key := range keys[1:] {
				if n := counts[key.ID()]; n > 0 {
					return nil, fmt.Errorf("%d secrets are still sealed under key %s: let the hub run for a minute, then try again", n, key.ID())
				}
			}
			return slices.Clone(keys[:1]), nil
		}, "%s holds the one key that is in use. Old backups of the database need the old key: keep it with them.")
	})
}

// keyLook is how often the file of the master key is looked at.
const keyLook = time.Second

// watchKeys takes over a changed file of the master key until ctx ends, and
// seals everything anew when the other replicas have had the time to take it
// over too.
func (h *hub) watchKeys(ctx context.Context) {
	if h.config.masterKey != "" {
		return
	}
	var known, refused string
	for turn, changed := 0, -1; ; turn++ {
		text := ""
		keys, err := authstore.LoadKeyFile(keyFile(h.config))
		if err == nil && ids(keys) != known {
			if err = h.useKeys(ctx, keys); err == nil {
				if known != "" {
					h.log.Info("master key file taken over", "seals", keys[0].ID(), "keys", len(keys))
					changed = turn
				}
				known = ids(keys)
			}
		}
		if err != nil {
			text = err.Error()
		}
		if text != refused && text != "" {
			h.log.Error("master key file refused, the keys in force stay", "error", err)
		}
		refused = text
		if changed >= 0 && turn == changed+3 {
			if err := h.reseal(ctx); err != nil && ctx.Err() == nil {
				h.failed("seal secrets anew", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(keyLook):
		}
	}
}

// useKeys exchanges the keys for others that open this database too.
func (h *hub) useKeys(ctx context.Context, keys []authstore.Key) error {
	check, err := h.db.Setting(ctx, masterKeyCheck)
	if err != nil {
		return err
	}
	sealer, err := authstore.NewSealer(keys[0], keys[1:]...)
	if err != nil {
		return err
	}
	if err := sealer.Verify(check); err != nil {
		return err
	}
	return h.sealer.Use(keys[0], keys[1:]...)
}

func ids(keys []authstore.Key) string {
	var all []string
	for _, key := range keys {
		all = append(all, key.ID())
	}
	return strings.Join(all, " ")
}

// reseal is the duty that seals what is under an older key.
func (h *hub) reseal(ctx context.Context) error {
	n, err := h.sealer.Reseal(ctx, h.db)
	if n > 0 {
		h.log.Info("secrets sealed anew under the master key in force", "secrets", n)
	}
	return err
}
