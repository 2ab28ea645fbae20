package cxone

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/expression"
	"tandem/core/server"
)

var versionForm = regexp.MustCompile(`^v[0-9]{1,3}\.[0-9]{1,2}$`)

// none is what a route says whose version is no version.
func none() error { return core.Errorf(core.NotFound, "there is nothing at this address") }

// niceExecute is Workflow Execute in NICE's own form: the result itself with
// status 200, or an HTTP status with the branch beside NICE's two error keys.
func (a *Adapter) niceExecute(c echo.Context) error {
	r, err := a.execute(c, func(body document) *call {
		return &call{
			configurationID: c.Param("configuration"), workflowID: c.Param("workflow"), envelope: body,
			payload: func() (document, error) { return body, nil },
		}
	})
	if err != nil {
		return err
	}
	return c.JSONBlob(r.Status, r.nice())
}

// nice authenticates a call of one of NICE's other routes, and answers its
// refusals in NICE's form.
func (a *Adapter) nice(serve func(c echo.Context, who core.Caller) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		who, err := a.caller(c)
		if err != nil {
			return patient(err)
		}
		err = none()
		if versionForm.MatchString(c.Param("version")) {
			err = serve(c, who)
		}
		if err == nil {
			return nil
		}
		if e, status := server.Explain(err); status < http.StatusInternalServerError {
			r := failed(e, "")
			return c.JSONBlob(status, server.EncodeJSON(niceError{Error: r.ErrorArgs.Code, ErrorDescription: r.ErrorArgs.Message}))
		}
		return patient(err)
	}
}

// mine returns what the caller's tenant has.
func (a *Adapter) mine(who core.Caller) (*Configurations, *tenantSet, error) {
	all := a.o.Configurations()
	tenant, err := all.tenant(who.Tenant)
	return all, tenant, err
}

// named returns the configuration that the route names.
func (a *Adapter) named(c echo.Context, who core.Caller) (*Configurations, *configuration, error) {
	all, tenant, err := a.mine(who)
	if err != nil {
		return nil, nil, err
	}
	if cfg := tenant.find(strings.TrimSpace(c.Param("configuration"))); cfg != nil {
		return all, cfg, nil
	}
	return nil, nil, core.Errorf(core.NotFound, "there is no such configuration")
}

type configurationView struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Status      string `json:"status"`
	TypeID      string `json:"typeId"`
	TypeName    string `json:"typeName"`
}

func (a *Adapter) listConfigurations(c echo.Context, who core.Caller) error {
	_, tenant, err := a.mine(who)
	if err != nil {
		return err
	}
	status := strings.ToLower(c.QueryParam("status"))
	list := []configurationView{}
	for _, cfg := range tenant.list {
		if word := statusOf(cfg.active); status == "" || status == word {
			list = append(list, configurationView{cfg.id, cfg.name, cfg.description, word, cfg.typeID, cfg.typeName})
		}
	}
	return c.JSONBlob(http.StatusOK, server.EncodeJSON(map[string]any{"configurations": list, "totalRecords": len(list)}))
}

func statusOf(isActive bool) string {
	if isActive {
		return active
	}
	return inactive
}

type workflowView struct {
	ID     string  `json:"workflowId"`
	Name   string  `json:"workflowName"`
	Action *string `json:"workflowAction"` // null: the file does not say
}

// listWorkflows lists those that can be called: NICE's editor takes a workflow
// that is not listed for one that does not exist.
func (a *Adapter) listWorkflows(c echo.Context, who core.Caller) error {
	_, cfg, err := a.named(c, who)
	if err != nil {
		return err
	}
	list := []workflowView{}
	for _, w := range cfg.workflows {
		view := workflowView{ID: w.id, Name: w.name}
		if w.action != "" {
			view.Action = &w.action
		}
		if w.active {
			list = append(list, view)
		}
	}
	return c.JSONBlob(http.StatusOK, server.EncodeJSON(map[string]any{
		"id": cfg.id, "typeId": cfg.typeID, "instanceId": "", "workflows": list,
	}))
}

type mappingView struct {
	ID          string       `json:"id"`
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Status      string       `json:"status"`
	Entities    []entityView `json:"entities"`
}

type entityView struct {
	Label  string              `json:"label,omitempty"`
	Name   string              `json:"name"`
	Fields []map[string]string `json:"fields,omitempty"`
}

// listDataMappings and listCardMappings say of a field what its other side is:
// from, a path in cxoneContact, or label, on the customer card.
func (a *Adapter) listDataMappings(c echo.Context, who core.Caller) error {
	_, cfg, err := a.named(c, who)
	if err != nil {
		return err
	}
	list := mappingViews(cfg.dataMappings, "from")
	return c.JSONBlob(http.StatusOK, server.EncodeJSON(map[string]any{"dataMappings": list, "totalRecords": len(list)}))
}

func (a *Adapter) listCardMappings(c echo.Context, who core.Caller) error {
	_, cfg, err := a.named(c, who)
	if err != nil {
		return err
	}
	list := mappingViews(cfg.cardMappings, "label")
	return c.JSONBlob(http.StatusOK, server.EncodeJSON(map[string]any{"dynamicDataMappings": list, "totalRecords": len(list)}))
}

func mappingViews(all []*dataMapping, other string) []mappingView {
	list := []mappingView{}
	for _, m := range all {
		view := mappingView{m.id, m.name, m.description, statusOf(m.active), []entityView{}}
		for _, e := range m.entities {
			entity := entityView{Name: e.name}
			for _, f := range e.fields {
				entity.Fields = append(entity.Fields, map[string]string{"name": f.name, other: f.other})
			}
			view.Entities = append(view.Entities, entity)
		}
		list = append(list, view)
	}
	return list
}

type crmField struct {
	Label     string `json:"label"`
	Name      string `json:"name"`
	Updatable bool   `json:"isUpdatable"`
}

// listEntities lists the record types of the CRM, or with name the fields of one.
func (a *Adapter) listEntities(c echo.Context, who core.Caller) error {
	all, cfg, err := a.named(c, who)
	if err != nil {
		return err
	}
	known := all.operations.Entities(cfg.integration.ID)
	if name := c.QueryParam("name"); name != "" {
		e, ok := known.Find(name)
		if !ok {
			return core.Errorf(core.NotFound, "there is no such record type")
		}
		fields := []crmField{}
		for _, f := range e.Fields {
			fields = append(fields, crmField{f.Label, f.Name, f.Updatable})
		}
		return c.JSONBlob(http.StatusOK, server.EncodeJSON(map[string]any{
			"entities": []map[string]any{{"label": e.Label, "name": e.Name, "fields": fields}},
		}))
	}
	list := []entityView{}
	for _, e := range known.All() {
		list = append(list, entityView{Label: e.Label, Name: e.Name})
	}
	return c.JSONBlob(http.StatusOK, server.EncodeJSON(map[string]any{"entities": list}))
}

// cacheKeyOf returns the key that a route names, however it was escaped.
func cacheKeyOf(c echo.Context) string {
	key := c.Param("cacheKey")
	if plain, err := url.PathUnescape(key); err == nil {
		key = plain
	}
	return strings.TrimSpace(key)
}

// keepTime is how long the routes of kept results wait for the database.
const keepTime = 3 * time.Second

// inKeepTime calls what needs the database; Unavailable when its time is over.
func inKeepTime(c echo.Context, call func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), keepTime)
	defer cancel()
	err := call(ctx)
	if err != nil && ctx.Err() != nil {
		return core.Wrap(core.Unavailable, err, "the database did not answer in time; try again")
	}
	return err
}

func (a *Adapter) cachedResult(c echo.Context, who core.Caller) error {
	var data []byte
	err := inKeepTime(c, func(ctx context.Context) (err error) {
		data, err = a.o.Results.Get(ctx, who.Tenant, cacheKeyOf(c))
		return err
	})
	if err != nil {
		return err
	}
	return c.JSONBlob(http.StatusOK, data)
}

func (a *Adapter) keepAlive(c echo.Context, who core.Caller) error {
	data, err := server.ReadBody(c)
	if err != nil {
		return err
	}
	body, err := parse("body", data)
	if err != nil {
		return err
	}
	if alive, _ := expression.Text(body["keepAlive"]); alive != "true" {
		return core.InvalidField("keepAlive", "must be true")
	}
	key := cacheKeyOf(c)
	err = inKeepTime(c, func(ctx context.Context) error { return a.o.Results.KeepAlive(ctx, who.Tenant, key) })
	if err != nil {
		return err
	}
	return c.JSONBlob(http.StatusOK, server.EncodeJSON(map[string]any{"cacheKey": key, "keepAlive": true}))
}
