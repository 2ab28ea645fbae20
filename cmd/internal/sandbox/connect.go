package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// Connect plays the flows of Webex Connect that call a hub's nodes with the HTTP
// Request node.
type Connect struct {
	Hub  string // where the hub is
	Key  string // of adapter webex
	HTTP http.Client
}

// NodeAnswer is what a node of the hub answers.
type NodeAnswer struct {
	Outcome *string        `json:"outcome"` // nil: the last word is posted to the webhook
	Outputs map[string]any `json:"outputs"`
	Error   *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	CorrelationID string `json:"correlationId"`

	Status int `json:"-"`
}

// Node calls a method of a node, for example "queue-task/queue".
func (c *Connect) Node(ctx context.Context, method string, fields map[string]any) (a NodeAnswer, err error) {
	body, err := json.Marshal(fields)
	if err != nil {
		return a, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Hub+"/webex/v1/nodes/"+method, bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Api-Key", c.Key)
	res, err := c.HTTP.Do(req)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	a.Status = res.StatusCode
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		return a, fmt.Errorf("%s answered %d: %w", method, res.StatusCode, err)
	}
	return a, nil
}

// Said is the outcome; empty when there is none yet.
func (a NodeAnswer) Said() string {
	if a.Outcome == nil {
		return ""
	}
	return *a.Outcome
}
