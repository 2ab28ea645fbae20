package delivery

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"tandem/core/outbound"
)

// Letter is a JSON text for a flow of a tenant.
type Letter struct {
	Tenant string
	ID     string // webhook-id: the same each time it is sent
	URL    string
	Body   []byte
}

// Receipt is what became of sending a Letter. Unless it has Arrived or is
// Hopeless it is worth sending again, after Wait at the soonest.
type Receipt struct {
	Arrived, Hopeless bool
	Wait              time.Duration
	Reason            string // why it did not arrive, for people; holds no secret
}

// Send sends a Letter once, signed, and judges the answer as those of triggers
// are judged.
func (l Letter) Send(ctx context.Context, sender Sender, sign Sign, now time.Time) Receipt {
	res, err := l.post(ctx, sender, sign, now)
	v := judge(res, err, now)
	return Receipt{
		Arrived: v.outcome == delivered, Hopeless: v.outcome == dead || v.outcome == ended, Wait: v.wait, Reason: v.reason,
	}
}

func (l Letter) post(ctx context.Context, sender Sender, sign Sign, now time.Time) (*outbound.Response, error) {
	signature, err := sign(l.Tenant, l.ID, now, l.Body)
	if err != nil {
		return nil, fmt.Errorf("sign letter: %w", err)
	}
	req, err := outbound.NewRequest(ctx, http.MethodPost, l.URL, l.Body)
	if err != nil {
		return nil, err
	}
	req.Header["Content-Type"] = []string{"application/json"}
	req.Header.Set("webhook-id", l.ID)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("webhook-signature", signature)
	return sender.Do(req)
}
