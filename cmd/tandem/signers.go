package main

import (
	"context"
	"sync"
	"time"

	"tandem/authstore"
	"tandem/core"
	"tandem/core/store"
)

// signers signs deliveries with one secret a tenant, which is made when it is
// first needed and kept sealed.
type signers struct {
	db     *store.DB
	sealer *authstore.Sealer
	mu     sync.Mutex
	known  map[string]*authstore.Signer
}

func newSigners(db *store.DB, sealer *authstore.Sealer) *signers {
	return &signers{db: db, sealer: sealer, known: map[string]*authstore.Signer{}}
}

func (s *signers) secret(ctx context.Context, tenant string) (string, error) {
	place := tenant + "/settings:webhook-secret:value"
	name := "webhook-secret/" + tenant
	sealed, err := s.db.Setting(ctx, name)
	if err != nil && core.KindOf(err) == core.NotFound {
		fresh := s.sealer.Seal(place, []byte(authstore.NewSecret()))
		err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			sealed, err = tx.InitSetting(ctx, name, fresh)
			return err
		})
	}
	if err != nil {
		return "", err
	}
	plain, err := s.sealer.Open(place, sealed)
	return string(plain), err
}

// sign returns the webhook-signature of a body for a tenant's flow.
func (s *signers) sign(tenant, id string, at time.Time, body []byte) (string, error) {
	s.mu.Lock()
	signer := s.known[tenant]
	s.mu.Unlock()
	if signer == nil {
		secret, err := s.secret(context.Background(), tenant)
		if err != nil {
			return "", err
		}
		if signer, err = authstore.NewSigner(secret); err != nil {
			return "", err
		}
		s.mu.Lock()
		s.known[tenant] = signer
		s.mu.Unlock()
	}
	return signer.Sign(id, at, body), nil
}
