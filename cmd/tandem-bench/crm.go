package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// crmContact is a record of the bench's CRM: with the envelope its answer has
// 2 KB.
type crmContact struct {
	ID           string `json:"Id"`
	Name         string `json:"Name"`
	Title        string `json:"Title"`
	Email        string `json:"Email"`
	Phone        string `json:"Phone"`
	MobilePhone  string `json:"MobilePhone"`
	Department   string `json:"Department"`
	City         string `json:"MailingCity"`
	LastModified string `json:"LastModifiedDate"`
	Description  string `json:"Description"`
}

type crmAnswer struct {
	TotalSize int          `json:"totalSize"`
	Done      bool         `json:"done"`
	Records   []crmContact `json:"records"`
}

// serveCRM answers every request with the same 2 KB.
func serveCRM(ctx context.Context, _ string, out io.Writer) error {
	answer, err := json.Marshal(crmAnswer{1, true, []crmContact{{
		ID: "0035e00000AbCdEAAV", Name: "Milan Novak", Title: "Head of Logistics", Email: "milan.novak@customer.example",
		Phone: "+41 44 555 12 34", MobilePhone: "+41 79 555 12 34", Department: "Logistics", City: "Zürich",
		LastModified: "2026-03-04T12:00:00.000+0000", Description: strings.Repeat("He likes to be called back. ", 58),
	}}})
	if err != nil {
		return err
	}
	return serveHandler(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		writeJSON(w, answer)
	}), out)
}

func writeJSON(w http.ResponseWriter, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text))) // the load generator reads no chunks
	_, _ = w.Write(text)
}

// What a script sends, and what it gets.
type (
	plainRequest struct {
		ConfigurationID string `json:"configurationId"`
		WorkflowID      string `json:"workflowId"`
		ContactID       string `json:"contactId"`
		Payload         struct {
			Input struct {
				PhoneNumber string `json:"phoneNumber"`
				Notes       string `json:"notes"`
			} `json:"workflowInput"`
		} `json:"workflowPayload"`
	}
	plainField struct {
		Name  string `json:"name"`
		Label string `json:"label"`
		Value string `json:"value"`
	}
	plainRecord struct {
		Type      string       `json:"type"`
		Label     string       `json:"label"`
		ID        string       `json:"id"`
		URL       string       `json:"url"`
		Display   string       `json:"display"`
		Title     string       `json:"title"`
		Updated   string       `json:"updated"`
		Linkable  bool         `json:"linkable"`
		ScreenPop bool         `json:"screenPop"`
		Fields    []plainField `json:"fields"`
	}
	plainSystem struct {
		Type    string `json:"type"`
		Label   string `json:"label"`
		BaseURL string `json:"baseUrl"`
	}
	plainResult struct {
		System  plainSystem   `json:"system"`
		Records []plainRecord `json:"records"`
	}
	plainSet struct {
		ContactID string        `json:"contactId"`
		Result    []plainResult `json:"result"`
	}
	plainAnswer struct {
		Branch    string   `json:"branch"`
		ResultSet plainSet `json:"resultSet"`
	}
)

// serveExecute is what somebody would write by hand instead of a workflow: it
// calls the CRM and turns its answer into the same result, with typed JSON and
// nothing that protects anybody.
func serveExecute(ctx context.Context, crm string, out io.Writer) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	return serveHandler(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in plainRequest
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer, err := plainExecution(r.Context(), client, crm, in)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		text, err := json.Marshal(answer)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		writeJSON(w, text)
	}), out)
}

func plainExecution(ctx context.Context, client *http.Client, crm string, in plainRequest) (plainAnswer, error) {
	query, err := json.Marshal(map[string]string{"phone": in.Payload.Input.PhoneNumber, "notes": in.Payload.Input.Notes})
	if err != nil {
		return plainAnswer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+crm+"/search", bytes.NewReader(query)) //nolint:gosec // of this program
	if err != nil {
		return plainAnswer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	found, err := client.Do(req) //nolint:gosec // as above
	if err != nil {
		return plainAnswer{}, err
	}
	defer found.Body.Close()
	var contacts crmAnswer
	if err := json.NewDecoder(found.Body).Decode(&contacts); err != nil || found.StatusCode != http.StatusOK {
		return plainAnswer{}, fmt.Errorf("the CRM answered %d: %w", found.StatusCode, err)
	}
	_, _ = io.Copy(io.Discard, found.Body) // the connection is used again
	result := plainResult{System: plainSystem{"crm", "CRM", "http://" + crm}, Records: []plainRecord{}}
	for _, c := range contacts.Records {
		result.Records = append(result.Records, plainRecord{
			Type: "contact", Label: "Contact", ID: c.ID, URL: "/contacts/" + c.ID, Display: c.Name, Title: c.Title,
			Updated: c.LastModified, Linkable: true, ScreenPop: true,
			Fields: []plainField{
				{"Email", "E-mail", c.Email},
				{"Phone", "Phone", c.Phone},
				{"MobilePhone", "Mobile", c.MobilePhone},
				{"Department", "Department", c.Department},
				{"MailingCity", "City", c.City},
				{"Description", "Description", c.Description},
			},
		})
	}
	return plainAnswer{"Success", plainSet{in.ContactID, []plainResult{result}}}, nil
}
