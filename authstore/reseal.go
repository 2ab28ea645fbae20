package authstore

import (
	"context"
	"encoding/hex"
	"fmt"

	"tandem/core/store"
)

// resealStep is how many values are sealed anew in one transaction: others wait
// for it.
const resealStep = 50

// Reseal seals everything in the database that is under another key than the
// active one anew, in small steps beside whatever else goes on, and returns how
// many values it was. It may be stopped at any point and begun again. A value
// that does not open is left as it is; the error names the last such.
func (s *Sealer) Reseal(ctx context.Context, db *store.DB) (done int, err error) {
	var closed error
	for _, c := range store.SealedColumns() {
		for after := ""; ; {
			values, err := db.SealedOtherwise(ctx, c, s.keys.Load().active[:], after, resealStep)
			if err != nil {
				return done, err
			}
			if len(values) == 0 {
				break
			}
			after = values[len(values)-1].Row
			fresh := make([][]byte, len(values))
			for i, v := range values {
				plain, err := s.Open(v.Place, v.Sealed)
				if err != nil {
					closed = fmt.Errorf("%s of %s: %w", c.Name(), v.Row, err)
					continue
				}
				fresh[i] = s.Seal(v.Place, plain)
			}
			n, err := exchange(ctx, db, c, values, fresh)
			if done += n; err != nil {
				return done, err
			}
		}
	}
	return done, closed
}

// exchange puts fresh in the place of values, where there is one and nobody was
// faster.
func exchange(ctx context.Context, db *store.DB, c store.SealedColumn, values []store.SealedValue, fresh [][]byte) (done int, err error) {
	err = db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		done = 0
		for i, v := range values {
			if fresh[i] == nil {
				continue
			}
			changed, err := tx.Reseal(ctx, c, v, fresh[i])
			if err != nil {
				return err
			}
			if changed {
				done++
			}
		}
		return nil
	})
	return done, err
}

// Sealed counts the values in the database by the id of the key they are under.
func Sealed(ctx context.Context, db *store.DB) (map[string]int, error) {
	counts := map[string]int{}
	for _, c := range store.SealedColumns() {
		ids, err := db.SealingKeys(ctx, c)
		if err != nil {
			return nil, err
		}
		for id, n := range ids {
			counts[hex.EncodeToString([]byte(id))] += n
		}
	}
	return counts, nil
}
