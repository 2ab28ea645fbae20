package powerautomate

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/directory"
)

// list serves a bare array for the fields of the flow designer.
func (a *Adapter) list(items func(caller) any) echo.HandlerFunc {
	return func(c echo.Context) error {
		who, err := a.caller(c)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, items(who))
	}
}

func taskServices(who caller) any { return upns(who.tenant.TaskServices(who.user)) }

func externalTaskServices(who caller) any { return upns(who.tenant.ExternalTaskServices(who.user)) }

// preferredUsers answers an empty array, never null, for one who may name nobody.
func preferredUsers(who caller) any {
	return append([]string{}, who.tenant.PreferredUsers(who.user)...)
}

func taskEvents(caller) any { return nameValues(core.EventNames) }

func taskModalities(caller) any { return nameValues(core.Modalities) }

func taskDirections(caller) any { return nameValues(core.Directions) }

func distributionPriorities(caller) any { return nameValues(core.Priorities) }

func (a *Adapter) testConnection(c echo.Context) error {
	if _, err := a.caller(c); err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}

func upns(services []*directory.Service) []string {
	list := make([]string, len(services))
	for i, s := range services {
		list[i] = s.UPN
	}
	return list
}
