package sandbox

import (
	"net/http"

	"tandem/core"
)

// hubSpot is the CRM of hubspot.
type hubSpot struct{}

func newHubSpot(_ string, _ core.Clock) *hubSpot { return &hubSpot{} }

func (*hubSpot) serve(http.ResponseWriter, *http.Request, string) bool { return false }
