package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// What CXone Studio's REST API action does and does not do.
const (
	studioTries  = 3        // the first, and two more by itself
	studioAnswer = 32 << 10 // a larger answer is an error
	studioTime   = 90 * time.Second
)

// Studio plays the scripts of NICE CXone Studio that call a hub with the REST
// API action, and the person who looks ids up for them.
type Studio struct {
	Hub  string // where the hub is
	Key  string // of adapter cxone
	HTTP http.Client
}

// Execution is what a script gets from Workflow Execute at the hub.
type Execution struct {
	Branch    string          `json:"branch"`
	ResultSet json.RawMessage `json:"resultSet"`
	ErrorArgs *struct {
		Code           string `json:"code"`
		Message        string `json:"message"`
		Step           string `json:"step"`
		UpstreamStatus int    `json:"upstreamStatus"`
		Retryable      bool   `json:"retryable"`
		CorrelationID  string `json:"correlationId"`
	} `json:"errorArgs"`
	CacheKey string `json:"cacheKey"`

	Tries int `json:"-"` // how often the action called
}

// First returns what the first record of the result is called, and its id; empty
// when there is none.
func (e Execution) First() string {
	var set struct {
		Result []struct {
			Records []struct{ Label, Display, ID string } `json:"records"`
		} `json:"result"`
	}
	if json.Unmarshal(e.ResultSet, &set) != nil || len(set.Result) == 0 || len(set.Result[0].Records) == 0 {
		return ""
	}
	r := set.Result[0].Records[0]
	return r.Label + " " + r.Display + ", " + r.ID
}

// Execute runs the REST API action: a POST of one line of JSON, under the label
// that the action gives it unless the script says otherwise, tried again twice
// when it fails. The error is what takes the action's own error branch.
func (s *Studio) Execute(ctx context.Context, parameters map[string]any) (e Execution, err error) {
	body, err := json.Marshal(parameters)
	if err != nil {
		return e, err
	}
	ctx, cancel := context.WithTimeout(ctx, studioTime)
	defer cancel()
	for e.Tries < studioTries {
		e.Tries++
		var answer []byte
		if answer, err = s.do(ctx, http.MethodPost, "/cxone/v1/workflow-execute", body); err == nil {
			return e, json.Unmarshal(answer, &e)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return e, err
}

// Run executes a workflow of the given name for a contact.
func (s *Studio) Run(ctx context.Context, configuration, workflow, contact string, input map[string]any) (Execution, error) {
	configurationID, workflowID, err := s.Find(ctx, configuration, workflow)
	if err != nil {
		return Execution{}, err
	}
	return s.Execute(ctx, map[string]any{
		"configurationId": configurationID, "workflowId": workflowID, "contactId": contact,
		"workflowPayload": map[string]any{"workflowInput": input},
	})
}

func (s *Studio) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.Hub+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer "+s.Key)
	answer, err := s.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, studioAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > studioAnswer:
		return nil, errors.New("the answer is larger than 32 KB")
	case answer.StatusCode < 200 || answer.StatusCode > 299:
		return nil, fmt.Errorf("status %d: %s", answer.StatusCode, text)
	case !strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json"):
		return nil, errors.New("the answer is not JSON")
	}
	return text, nil
}

// Find looks up the ids of a workflow where people do: in the list of
// configurations, by the names of the configuration and of the workflow.
func (s *Studio) Find(ctx context.Context, configuration, workflow string) (configurationID, workflowID string, err error) {
	const base = "/InContactAPI/services/v26.0/agent-integration/configuration"
	var configurations struct {
		Configurations []struct{ ID, Name string }
	}
	if err := s.list(ctx, base+"?status=active", &configurations); err != nil {
		return "", "", err
	}
	for _, c := range configurations.Configurations {
		if c.Name == configuration {
			configurationID = c.ID
		}
	}
	var workflows struct {
		Workflows []struct{ WorkflowID, WorkflowName string }
	}
	if err := s.list(ctx, base+"/"+configurationID+"/workflow", &workflows); err != nil {
		return "", "", err
	}
	for _, w := range workflows.Workflows {
		if w.WorkflowName == workflow {
			return configurationID, w.WorkflowID, nil
		}
	}
	return "", "", fmt.Errorf("there is no workflow %q of a configuration %q", workflow, configuration)
}

func (s *Studio) list(ctx context.Context, path string, v any) error {
	answer, err := s.do(ctx, http.MethodGet, path, nil)
	if err == nil {
		err = json.Unmarshal(answer, v)
	}
	return err
}
