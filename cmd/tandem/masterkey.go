package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"tandem/authstore"
	"tandem/core"
)

// masterKeyCommand works on the file of the master key. Its first line seals,
// every line opens; a running hub takes over a changed file by itself.
type masterKeyCommand struct {
	Add    masterKeyAdd    `cmd:"" help:"Write a new key to the end of the file: it opens and does not seal yet."`
	Use    masterKeyUse    `cmd:"" help:"Put a key first: it seals from now on, and the hub seals everything anew."`
	Status masterKeyStatus `cmd:"" help:"Show how many secrets are sealed under each key."`
	Prune  masterKeyPrune  `cmd:"" help:"Move all keys but the first out of the file, once nothing is sealed under them."`
}

// withKeyFile runs do with the keys of the file.
func withKeyFile(p *program, do func(c *config, keys []authstore.Key) error) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	if c.masterKey != "" {
		return errors.New("the master key comes from TANDEM_MASTER_KEY: change it there, several keys with commas between, the first one seals")
	}
	keys, err := authstore.LoadKeyFile(keyFile(c))
	if err != nil {
		return err
	}
	return do(c, keys)
}

// counted opens the database, which must be there, and counts its secrets by key.
func counted(ctx context.Context, c *config) (map[string]int, error) {
	if file, ok := strings.CutPrefix(c.DatabaseURL, "sqlite:"); ok && missing(file) {
		return nil, fmt.Errorf("there is no database at %s", file)
	}
	db, _, err := openDatabase(ctx, c, false, nil)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return authstore.Sealed(ctx, db)
}

type masterKeyAdd struct{}

// Run adds a key.
func (masterKeyAdd) Run(p *program) error {
	return withKeyFile(p, func(c *config, keys []authstore.Key) error {
		key := authstore.NewKey()
		if err := authstore.ReplaceKeyFile(keyFile(c), append(keys, key)); err != nil {
			return err
		}
		_, err := fmt.Fprintf(p.stdout, "Key %s is the last in %s. Bring the file to every replica, wait two seconds, then: tandem master-key use %[1]s\n", key.ID(), keyFile(c))
		return err
	})
}

type masterKeyUse struct {
	Key string `arg:"" help:"Its id, as add and status show it."`
}

// Run puts the key first.
func (m masterKeyUse) Run(p *program) error {
	return withKeyFile(p, func(c *config, keys []authstore.Key) error {
		at := slices.IndexFunc(keys, func(k authstore.Key) bool { return k.ID() == m.Key })
		if at < 0 {
			return fmt.Errorf("%s has no key %s; tandem master-key add makes one, status lists them", keyFile(c), m.Key)
		}
		first := keys[at]
		if err := authstore.ReplaceKeyFile(keyFile(c), append([]authstore.Key{first}, slices.Delete(keys, at, at+1)...)); err != nil {
			return err
		}
		_, err := fmt.Fprintf(p.stdout, "Key %s is the first in %s and seals from now on. A running hub seals everything anew within a minute; tandem master-key status tells how far it is, tandem master-key prune ends the old key.\n", m.Key, keyFile(c))
		return err
	})
}

type masterKeyStatus struct{}

// Run lists the keys.
func (masterKeyStatus) Run(ctx context.Context, p *program) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	counts, err := counted(ctx, c)
	if err != nil {
		return err
	}
	keys, err := masterKeys(c, false)
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
	for _, id := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, "%s\tmissing\t%d\n", id, counts[id])
	}
	return w.Flush()
}

type masterKeyPrune struct{}

// Run moves the keys that nothing needs to a file beside: backups may.
func (masterKeyPrune) Run(ctx context.Context, p *program) error {
	return withKeyFile(p, func(c *config, keys []authstore.Key) error {
		counts, err := counted(ctx, c)
		if err != nil {
			return err
		}
		if len(keys) == 1 {
			_, err := fmt.Fprintln(p.stdout, "There is one key, nothing to prune.")
			return err
		}
		for _, key := range keys[1:] {
			if n := counts[key.ID()]; n > 0 {
				return fmt.Errorf("%d secrets are still sealed under key %s: let the hub run for a minute, then try again", n, key.ID())
			}
		}
		old := fmt.Sprintf("%s.%s", keyFile(c), core.SystemClock{}.Now().Format("20060102-150405"))
		if err := authstore.WriteKeyFile(old, keys[1:]); err != nil {
			return err
		}
		if err := authstore.ReplaceKeyFile(keyFile(c), keys[:1]); err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "%s holds key %s alone. Out of use, and now in %s: %s. Old backups of the database need them: keep that file with the backups, not here.\n",
			keyFile(c), keys[0].ID(), old, ids(keys[1:]))
		return err
	})
}

// keyLook is how often the file of the master key is looked at.
const keyLook = time.Second

// watchKeys takes over a changed file of the master key until ctx ends; a duty
// then seals everything anew.
func (h *hub) watchKeys(ctx context.Context) {
	if h.config.masterKey != "" {
		return
	}
	for known, refused := "", ""; ; {
		keys, err := authstore.LoadKeyFile(keyFile(h.config))
		if err == nil && ids(keys) != known {
			if err = h.useKeys(ctx, keys); err == nil {
				if known != "" {
					h.log.Info("master key file taken over", "seals", keys[0].ID(), "keys", len(keys))
				}
				known = ids(keys)
			}
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != refused && text != "" {
			h.log.Error("master key file not taken over, the keys in force stay", "error", err)
		}
		refused = text
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
		h.log.Info("sealed anew under the master key in force", "count", n)
	}
	return err
}
