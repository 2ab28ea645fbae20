package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"tandem/core"
	"tandem/core/directory"
	"tandem/core/mapping"
	"tandem/core/server"
	"tandem/core/store"
)

type keysCommand struct {
	Create  keysCreate  `cmd:"" help:"Make a key and print it, this once."`
	List    keysList    `cmd:"" help:"List the keys; what they are made of is not kept."`
	Revoke  keysRevoke  `cmd:"" help:"End a key."`
	Webhook keysWebhook `cmd:"" help:"Print the secret with which a tenant's deliveries are signed."`
}

// keyed runs do on the database, beside a hub that may be serving it.
func (p *program) keyed(ctx context.Context, do func(c *config, db *store.DB) error) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	if file, ok := strings.CutPrefix(c.DatabaseURL, "sqlite:"); ok && missing(file) {
		fmt.Fprintf(p.stderr, "tandem: %s does not exist yet and is made now; serve must be started with the same --data-dir or --database-url\n", file)
	}
	db, _, err := openDatabase(ctx, c, false, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return do(c, db)
}

type keysCreate struct {
	Tenant  string `required:"" help:"Tenant of the directory."`
	Adapter string `required:"" enum:"powerautomate,cxone,webex,admin" help:"Where the key is good for: ${enum}."`
	User    string `required:"" help:"UPN of the user in whose name calls with the key are made."`
}

// Run makes a key and prints it alone on standard output.
func (k keysCreate) Run(ctx context.Context, p *program) error {
	return p.keyed(ctx, func(c *config, db *store.DB) error {
		upn, err := k.user(p, c)
		if err != nil {
			return err
		}
		key, hash := server.NewKey()
		now := core.SystemClock{}.Now()
		row := store.APIKey{Hash: hash[:], ID: core.NewID(now), Tenant: k.Tenant, Adapter: k.Adapter, UPN: upn, CreatedMs: now.UnixMilli()}
		if err := db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertAPIKey(ctx, row) }); err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.stdout, key)
		return err
	})
}

// user finds the user in the directory and returns the UPN as it is written there.
func (k keysCreate) user(p *program, c *config) (string, error) {
	tenant, err := findTenant(c, k.Tenant)
	if err != nil {
		return "", err
	}
	user, ok := tenant.User(k.User)
	if !ok {
		return "", fmt.Errorf("tenant %s has no user %q", k.Tenant, k.User)
	}
	if k.Adapter != "admin" {
		if err := tenant.MayConnect(user); err != nil {
			fmt.Fprintf(p.stderr, "tandem: calls with this key will be refused as long as the user has no other role: %v\n", err)
		}
	}
	return user.UPN, nil
}

// findTenant finds a tenant in the directory files.
func findTenant(c *config, name string) (*directory.Tenant, error) {
	set, findings := mapping.Read(mappingFiles(c)())
	if len(findings) > 0 {
		return nil, fmt.Errorf("mapping files: %s", findings[0])
	}
	dir, findings := directory.Load(set)
	if len(findings) > 0 {
		return nil, fmt.Errorf("mapping files: %s", findings[0])
	}
	tenant, ok := dir.Tenant(name)
	if !ok {
		return nil, fmt.Errorf("the directory has no tenant %q", name)
	}
	return tenant, nil
}

type keysList struct {
	Tenant string `help:"Only this tenant's."`
}

// Run prints a table of keys.
func (k keysList) Run(ctx context.Context, p *program) error {
	return p.keyed(ctx, func(_ *config, db *store.DB) error {
		keys, err := db.APIKeys(ctx, k.Tenant)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tTENANT\tADAPTER\tUSER\tCREATED\tLAST USED\tREVOKED")
		for _, key := range keys {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", key.ID, key.Tenant, key.Adapter, key.UPN,
				moment(&key.CreatedMs), moment(key.UsedMs), moment(key.RevokedMs))
		}
		return w.Flush()
	})
}

// moment writes a time, or a dash.
func moment(ms *int64) string {
	if ms == nil {
		return "-"
	}
	return store.FromMilli(*ms).Format(time.RFC3339)
}

type keysRevoke struct {
	ID string `arg:"" help:"The key's id, from keys list."`
}

// Run ends a key; calls with it are refused from now on.
func (k keysRevoke) Run(ctx context.Context, p *program) error {
	return p.keyed(ctx, func(_ *config, db *store.DB) error {
		err := db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.RevokeAPIKey(ctx, k.ID, core.SystemClock{}.Now())
		})
		if err == nil {
			_, err = fmt.Fprintln(p.stdout, "Revoked.")
		}
		return err
	})
}

type keysWebhook struct {
	Tenant string `required:"" help:"Tenant of the directory."`
}

// Run prints the tenant's signing secret, for a receiver that checks the
// webhook-signature of deliveries.
func (k keysWebhook) Run(ctx context.Context, p *program) error {
	return p.keyed(ctx, func(c *config, db *store.DB) error {
		if _, err := findTenant(c, k.Tenant); err != nil {
			return err
		}
		sealer, err := openSealer(ctx, c, db)
		if err != nil {
			return err
		}
		secret, err := newSigners(db, sealer).secret(ctx, k.Tenant)
		if err == nil {
			_, err = fmt.Fprintln(p.stdout, secret)
		}
		return err
	})
}
