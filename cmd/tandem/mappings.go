package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"tandem/adapters/cxone"
	"tandem/core"
	"tandem/core/directory"
	"tandem/core/engine"
	"tandem/core/flow"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
	"tandem/mappings"
)

// reload is how often the mappings folder is looked at.
const reload = 250 * time.Millisecond

// mapped holds the last good set of mapping files.
type mapped struct {
	current atomic.Pointer[force]
	refused atomic.Pointer[refusal] // nil: the files are those in force
	clock   core.Clock
}

// force is a set that is in force, as a whole.
type force struct {
	contents

	set    *mapping.Set
	loaded time.Time
}

// refusal is a set that was not taken over.
type refusal struct {
	set      *mapping.Set
	at       time.Time
	findings []mapping.Finding
	failed   bool // nothing is wrong with it, but it could not be taken over
}

func mappingFiles(c *config) func() fs.FS {
	if c.MappingsDir == "" {
		shipped := c.shipped
		if shipped == nil {
			shipped = mappings.FS
		}
		return func() fs.FS { return shipped }
	}
	return func() fs.FS { return os.DirFS(c.MappingsDir) }
}

func (m *mapped) directory() *directory.Directory       { return m.current.Load().directory }
func (m *mapped) integrations() *integration.Catalogue  { return m.current.Load().integrations }
func (m *mapped) operations() *operation.Catalogue      { return m.current.Load().operations }
func (m *mapped) configurations() *cxone.Configurations { return m.current.Load().configurations }
func (m *mapped) workflow(name string) *flow.Workflow   { return m.current.Load().flows[name] } // nil when there is none

// apply checks a set, of which Read has found what it found, and when nothing is
// wrong with it puts it in place. The error is for a set that cannot be taken over
// now.
func (m *mapped) apply(ctx context.Context, set *mapping.Set, findings []mapping.Finding, e *engine.Engine) ([]mapping.Finding, error) {
	c, findings := checkAll(set, findings)
	if len(findings) > 0 {
		return findings, nil
	}
	if err := e.Keep(ctx, c.flows); err != nil {
		return nil, err
	}
	m.current.Store(&force{c, set, m.clock.Now()})
	return nil, nil
}

// loadMappings reads the mapping files at the start, when a broken one is a
// reason not to.
func loadMappings(ctx context.Context, files fs.FS, e *engine.Engine, clock core.Clock) (*mapped, error) {
	m := &mapped{clock: clock}
	set, findings := mapping.Read(files)
	findings, err := m.apply(ctx, set, findings, e)
	if err != nil {
		return nil, err
	}
	if len(findings) > 0 {
		errs := []error{fmt.Errorf("%d findings in the mapping files", len(findings))}
		for _, f := range findings {
			errs = append(errs, errors.New("  "+f.String()))
		}
		return nil, errors.Join(errs...)
	}
	return m, nil
}

// watch takes over changed files until ctx ends; a broken set is
// reported and the last good one goes on serving. changed is called after each
// change that was taken over, refused after each that was not.
func (m *mapped) watch(ctx context.Context, files func() fs.FS, e *engine.Engine, log *slog.Logger, changed func(), refused func(int)) {
	mapping.Watch(ctx, files, m.current.Load().set, reload, nil, func(set *mapping.Set, findings []mapping.Finding) bool {
		findings, err := m.apply(ctx, set, findings, e)
		switch before := m.refused.Load(); {
		case err != nil:
			if before == nil || !before.failed || before.set.Hash != set.Hash { // it is tried again and again
				log.Error("mapping files not taken over", "error", err)
			}
			m.refused.Store(&refusal{set: set, at: m.clock.Now(), failed: true})
			refused(1)
		case len(findings) > 0:
			for _, f := range findings {
				log.Error("mapping file refused, the last good set goes on", "finding", f.String())
			}
			m.refused.Store(&refusal{set: set, at: m.clock.Now(), findings: findings})
			refused(len(findings))
		default:
			log.Info("mapping files taken over", "hash", set.Hash)
			m.refused.Store(nil)
			changed()
			refused(0)
		}
		return err == nil
	})
}
