package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/sandbox"
	"tandem/core"
)

// TestNobodyTakesATaskBeforeTheHubQueuedIt: the entry point's flow queues it
// first, and a task that an agent has cannot be queued.
func TestNobodyTakesATaskBeforeTheHubQueuedIt(t *testing.T) {
	t.Parallel()
	vendors, err := sandbox.NewVendors(core.SystemClock{})
	require.NoError(t, err)
	t.Cleanup(vendors.Close)
	post := func(at, body string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+vendors.Addr()+"/webex-contact-center"+at, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer sandbox")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Less(t, res.StatusCode, 300)
	}
	post("/v2/tasks", `{"channelType":"workItem","channel":"hub","origin":{"id":"C-1003"},"destination":{"id":"APP-FIELD-1","type":"businessAddress"},
		"globalVariables":{"hubTaskId":"T1"},"channelParams":{"type":"work-item-form","message":{"aliasId":"a","workItemData":{"a":"b"}}}}`)
	require.Equal(t, "queued", vendors.Webex().Tasks()[0].State)
	s := &story{out: io.Discard}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = s.routed(ctx, vendors.Webex(), "T1")
	require.Error(t, err)
	id := vendors.Webex().Tasks()[0].ID
	post("/v1/integration/cntwct/produs1/tasks/"+id+"/queue", `{"id":"`+id+`","queueid":"`+sandbox.WebexQueue+`"}`)
	got, err := s.routed(t.Context(), vendors.Webex(), "T1")
	require.NoError(t, err)
	require.Equal(t, id, got)
	require.Equal(t, "assigned", vendors.Webex().Tasks()[0].State)
}
