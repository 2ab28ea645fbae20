package sandbox

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWebexSubscriptions(t *testing.T) {
	t.Parallel()
	d := newOffice(t)
	at := "/v2/subscriptions/" + d.sub
	status, out := d.do(http.MethodGet, at, nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "active", dig(out, "data", "status"))
	require.Nil(t, dig(out, "data", "secret"))
	old := d.subscribe("/v1", nil)
	for version, id := range map[string]string{"/v1": old, "/v2": d.sub} {
		status, out = d.do(http.MethodGet, version+"/subscriptions", nil)
		require.Equal(t, http.StatusOK, status)
		require.Len(t, out["data"], 1)
		require.Equal(t, id, dig(out["data"].([]any)[0], "id"))
		require.InDelta(t, 2, dig(out, "meta", "subscriptionCount"), 0, "of both versions")
		require.Equal(t, WebexOrg, dig(out, "meta", "orgId"))
		// Not compared: Cisco's definition wants four letters of "new".
		status, _, got := d.town.api(d.keys, wxID, http.MethodGet, version+"/event-types", nil)
		require.Equal(t, http.StatusOK, status)
		require.Len(t, dig(got, "data"), len(wxTypes))
		require.Equal(t, version == "/v2", dig(got, "meta", "resourceVersionList") != nil)
	}

	status, _ = d.do(http.MethodDelete, at, nil)
	require.Equal(t, http.StatusNoContent, status)
	d.create("T1")
	d.Deliveries()
	for _, h := range d.hub.heard {
		require.Equal(t, "/com/cisco/wxcc/"+old, h.event["source"])
		require.Nil(t, h.event["comciscotimestamp"])
		for _, name := range []string{"X-WebexCC-Signature", "X-WebExCC-Timestamp", "X-WebexCC-Webhook-Version"} {
			require.Empty(t, h.header.Get(name), name)
		}
	}
	require.Equal(t, []string{"task:new", "task:parked"}, d.events())

	status, _ = d.do(http.MethodPatch, "/v1/subscriptions/"+old, map[string]any{"eventTypes": []string{"task:ended"}})
	require.Equal(t, http.StatusOK, status)
	d.create("T2")
	require.Empty(t, d.events())
}

func TestWebexSubscriptionBecomesInactive(t *testing.T) {
	t.Parallel()
	d := newOffice(t)
	at := "/v2/subscriptions/" + d.sub
	state := func() any {
		d.Deliveries()
		_, out := d.do(http.MethodGet, at, nil)
		return dig(out, "data", "status")
	}
	id := d.create("T1")
	d.Deliveries()
	d.hub.answers(http.StatusFound)
	park := func(times int) {
		for range times {
			require.NoError(t, d.Park(id))
		}
	}
	park(9)
	require.Equal(t, "active", state())
	d.hub.answers(http.StatusAccepted)
	park(1)
	d.Deliveries()
	d.hub.answers(http.StatusInternalServerError)
	park(9)
	require.Equal(t, "active", state(), "the row was broken")
	park(3)
	require.Equal(t, "inactive", state())
	list := d.Deliveries()
	require.Len(t, list, 2+9+1+9+1, "nothing is sent to one that is not active")
	require.Equal(t, 500, list[len(list)-1].Status)
	require.Equal(t, WebexDelivery{
		Subscription: d.sub, Event: list[1].Event, Type: "task:parked", TaskID: id, Status: http.StatusOK,
	}, list[1])

	status, out := d.do(http.MethodPatch, at, map[string]any{"status": "active", "resourceVersion": "task:1.0.0", "secret": wxSecret + "2"})
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "active", dig(out, "data", "status"))
	d.hub.Close()
	park(1)
	list = d.Deliveries()
	require.Zero(t, list[len(list)-1].Status)
	require.NotEmpty(t, list[len(list)-1].Body)
}

func TestWebexEndsWithItsVendors(t *testing.T) {
	t.Parallel()
	d := newOffice(t)
	arrived, done := make(chan struct{}), make(chan struct{})
	d.hub.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client has gone
		close(arrived)
		<-r.Context().Done()
	})
	d.create("T1")
	<-arrived
	go func() {
		d.town.Vendors.Close()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(wxPatience - time.Second):
		require.Fail(t, "closing waits for an answer")
	}
	require.Len(t, d.Deliveries(), 1)
	require.NoError(t, d.Park(d.Tasks()[0].ID), "nobody hears of it")
}
