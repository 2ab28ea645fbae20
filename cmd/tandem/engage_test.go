package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/sandbox"
	"tandem/core"
)

// chatThere is a chat message to the field service, whose conversations are at
// Webex Engage.
func chatThere(trans, thread, text string) map[string]any {
	return map[string]any{
		"transId": trans, "mediaType": "chat", "mediaChannel": "web", "details": map[string]any{"messageDetails": map[string]any{
			"appId": officeField, "threadId": thread, "userId": "u-1", "message": text, "customerName": "Jane Doe", "threadTitle": "Hello",
			"timestamp": "1767323045000", "tid": trans, "domain": "web", "threadStatus": "open", "attachmentCount": "0", "attachment": "[]", "customerEmail": "jane@contoso.example",
		}},
	}
}

// TestWebexEngageTellsLater: Webex Engage only takes a message and posts the rest.
func TestWebexEngageTellsLater(t *testing.T) {
	t.Parallel()
	hook := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var last outcome
		_ = json.NewDecoder(r.Body).Decode(&last)
		hook <- last.Outcome
	}))
	t.Cleanup(receiver.Close)
	o := openOffice(t, receiver.Listener.Addr().String())
	const path = "resolve-conversation/resolve"

	out := o.call(path, chatThere("t-1", "th-1", "Hello"))
	require.Equal(t, "created", out.Outcome, out.text)
	id, _ := out.Outputs["taskId"].(string)
	require.Equal(t, core.RemoteOpen, o.task(id).Remote.State)
	require.Equal(t, "appended", o.call(path, chatThere("t-2", "th-1", "Are you there?")).Outcome)

	body := chatThere("t-3", "th-1", "Now?")
	body["webhookUrl"] = receiver.URL + "/in"
	require.Equal(t, "accepted", o.call(path, body).Outcome)
	require.Equal(t, "appended", <-hook)
	require.Equal(t, []string{"Hello", "Are you there?", "Now?"}, o.there(id).Messages)

	// It never says what it did.
	o.vendors.Webex().Switch(sandbox.WebexSwitches{EventsOff: true})
	out = o.call(path, chatThere("t-4", "th-2", "Is this thing on?"))
	require.Equal(t, "onTimeout", out.Outcome, out.text)

	// Nobody makes an address up, nor a tenant's administrator who has its secret.
	for _, tenant := range []string{demoTenant, "fabrikam", "nobody"} {
		token, err := o.sign(tenant, "x", core.SystemClock{}.Now(), nil)
		require.NoError(t, err)
		got := o.post("/webex/v1/resolved/"+tenant+"/x/"+strings.NewReplacer("/", "_", "+", "-").Replace(token), `{"conversationOperation":"created","taskId":"w"}`, http.Header{})
		require.Equal(t, http.StatusNotFound, got.status, got.text)
	}
	require.Contains(t, o.diary.String(), "nobody was given this address")
	first, err := o.token("x")
	require.NoError(t, err)
	again, err := o.token("x")
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.NotContains(t, o.diary.String(), "/webex/v1/resolved/"+demoTenant, "addresses are not logged")
}
