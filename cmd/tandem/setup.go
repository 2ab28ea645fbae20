package main

import (
	"context"
	"fmt"

	"tandem/adapters/console/identity"
	"tandem/core"
	"tandem/core/store"
)

type setupTokenCommand struct {
	Tenant string `required:"" help:"Tenant of the directory whose administrator is to be set up."`
}

// Run makes a setup token and prints it alone on standard output.
func (s setupTokenCommand) Run(ctx context.Context, p *program) error {
	return p.keyed(ctx, func(c *config, db *store.DB) error {
		if _, err := findTenant(c, s.Tenant); err != nil {
			return err
		}
		token, err := identity.NewSetupToken(ctx, db, core.SystemClock{}, s.Tenant)
		if err != nil {
			return err
		}
		fmt.Fprintln(p.stderr, "Good once, for 24 hours, at /console/setup:")
		_, err = fmt.Fprintln(p.stdout, token)
		return err
	})
}
