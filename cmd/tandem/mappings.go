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
const reload = 500 * time.Millisecond

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

// apply checks a set and, when nothing is wrong with it, puts it in place.
func (m *mapped) apply(ctx context.Context, set *mapping.Set, e *engine.Engine) ([]mapping.Finding, error) {
	c, findings := check(set)
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
	if len(findings) == 0 {
		found, err := m.apply(ctx, set, e)
		if err != nil {
			return nil, err
		}
		findings = found
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
	mapping.Watch(ctx, files, m.current.Load().set, reload, nil, func(set *mapping.Set, findings []mapping.Finding) {
		var err error
		if len(findings) == 0 {
			findings, err = m.apply(ctx, set, e)
		}
		if err != nil || len(findings) > 0 {
			m.refused.Store(&refusal{set, m.clock.Now(), findings})
		} else {
			m.refused.Store(nil)
		}
		switch {
		case err != nil:
			log.Error("mapping files not taken over", "error", err)
		case len(findings) > 0:
			for _, f := range findings {
				log.Error("mapping file refused, the last good set goes on", "finding", f.String())
			}
			refused(len(findings))
		default:
			log.Info("mapping files taken over", "hash", set.Hash)
			changed()
			refused(0)
		}
	})
}
