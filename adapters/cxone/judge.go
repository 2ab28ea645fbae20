package cxone

import (
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/expression"
	"tandem/core/integration"
	"tandem/core/operation"
)

// The actions that change what the adapter does.
const (
	actionSearch  = "search"
	actionMemory  = "datamemorialization"
	actionCreate  = "create"
	actionTrigger = "trigger"
)

// actions are what a workflow may be called for: NICE's words, and those of the
// hub's own workflows.
var actions = []string{actionSearch, actionCreate, "update", "note", "timeline", actionMemory, "relatesto", actionTrigger}

// besides are the parts of a payload that stand beside workflowInput and are
// inputs for an operation that declares them.
var besides = []string{"cxoneContact", "integration", "entity", "entityId", "relatedObject"}

// codeInvalidWorkflow is the code of the branch of that name.
const codeInvalidWorkflow = "INVALID_WORKFLOW"

// call is what both surfaces say in their own forms.
type call struct {
	configurationID, workflowID any
	envelope                    document
	payload                     func() (document, error)
}

// job is a call as far as it was understood.
type job struct {
	who     core.Caller
	id      string // correlation id
	began   time.Time
	elapsed func() time.Duration

	configuration        *configuration
	workflow             *workflow
	action               string // empty: nobody says
	contact, interaction string
	payload              document
	input                map[string]any
	dataMappingID        string
	cardMappingID        string
	card                 map[string][]operation.Field
	cacheKey             string
	timeout              time.Duration
}

// judge checks a call in the order in which callers are told what is wrong, and
// fills the job on its way.
func (j *job) judge(all *Configurations, in *call) error {
	docs := []document{in.envelope}
	j.contact, _ = idOf(docs, "contactId", "contactID") // judged below; a refused call is recorded with it
	tenant, err := all.tenant(j.who.Tenant)
	if err != nil {
		return err
	}
	if err := j.workflowOf(tenant, in); err != nil {
		return err
	}
	if j.payload, err = in.payload(); err != nil {
		return err
	}
	docs = append(docs, j.payload)
	if j.contact, err = idOf(docs, "contactId", "contactID"); err != nil {
		return err
	}
	if j.interaction, err = idOf(docs, "interactionId", "interactionID"); err != nil {
		return err
	}
	if j.cacheKey, err = idOf(docs, "cacheKey"); err != nil {
		return err
	}
	if err = j.actionOf(docs); err != nil {
		return err
	}
	given, err := workflowInputOf(j.payload, j.workflow.task == "" && (j.action == "" || slices.Contains([]string{actionSearch, actionCreate, actionTrigger}, j.action)))
	if err != nil {
		return err
	}
	if j.timeout, err = timeoutOf(j.payload); err != nil {
		return err
	}
	mappings, err := j.mappingsOf(docs)
	if err != nil {
		return err
	}
	j.inputOf(given)
	if j.action == actionMemory && j.input["updates"] == nil {
		j.input["updates"], err = updates(j.payload, mappings)
	}
	return err
}

// workflowOf finds the configuration and the workflow.
func (j *job) workflowOf(tenant *tenantSet, in *call) error {
	ids := []document{{"configurationId": in.configurationID, "workflowId": in.workflowID}}
	id, err := idOf(ids, "configurationId")
	if err != nil {
		return err
	}
	const form = "must be a GUID such as 01899438-147f-433b-945b-f1fde6d91877"
	if !guidForm.MatchString(id) {
		return core.InvalidField("configurationId", form)
	}
	switch j.configuration = tenant.find(id); {
	case j.configuration == nil:
		return core.InvalidField("configurationId", "is not a configuration of this tenant")
	case !j.configuration.active:
		return core.InvalidField("configurationId", "the configuration is inactive")
	}
	id, err = idOf(ids, "workflowId")
	if err != nil {
		return err
	}
	if !guidForm.MatchString(id) {
		return core.InvalidField("workflowId", form)
	}
	j.workflow = j.configuration.workflow(id)
	if j.workflow == nil || !j.workflow.active {
		e := core.Errorf(core.NotFound, "workflowId: is not an active workflow of the configuration")
		e.Code = codeInvalidWorkflow
		return e
	}
	return nil
}

// actionOf finds the action: the caller's word, else the workflow's.
func (j *job) actionOf(docs []document) error {
	word, err := idOf(docs, "actionType", "action")
	if err != nil {
		return err
	}
	if j.action = strings.ToLower(word); j.action == "" {
		j.action = j.workflow.action
	} else if !slices.Contains(actions, j.action) {
		return core.InvalidField("actionType", "must be one of %s", strings.Join(actions, ", "))
	}
	return nil
}

// mappingsOf finds the dynamic data mapping, and the data mappings that the call
// goes by: the one that it names, else all that are active.
func (j *job) mappingsOf(docs []document) ([]*dataMapping, error) {
	var err error
	if j.cardMappingID, err = idOf(docs, "dynamicDataMappingId"); err != nil {
		return nil, err
	}
	if j.cardMappingID != "" {
		m := usable(j.configuration.cardMappings, j.cardMappingID)
		if m == nil {
			return nil, core.InvalidField("dynamicDataMappingId", "is not an active dynamic data mapping of the configuration")
		}
		j.card = m.card()
	}
	if j.dataMappingID, err = idOf(docs, "dataMappingId"); err != nil {
		return nil, err
	}
	if j.dataMappingID == "" {
		return slices.DeleteFunc(slices.Clone(j.configuration.dataMappings), func(m *dataMapping) bool { return !m.active }), nil
	}
	m := usable(j.configuration.dataMappings, j.dataMappingID)
	if m == nil {
		return nil, core.InvalidField("dataMappingId", "is not an active data mapping of the configuration")
	}
	return []*dataMapping{m}, nil
}

// inputOf puts together what the operation is handed: the workflow's fixed input
// under the parts of the payload under workflowInput.
func (j *job) inputOf(given map[string]any) {
	j.input = make(map[string]any, len(given)+len(j.workflow.input))
	maps.Copy(j.input, j.workflow.input)
	for _, in := range j.workflow.operation.Inputs {
		if v := j.payload[in.Name]; v != nil && slices.Contains(besides, in.Name) {
			j.input[in.Name] = v
		}
	}
	maps.Copy(j.input, given)
}

// hasID tells whether two calls can be known to be one.
func (j *job) hasID() bool { return j.contact != "" || j.interaction != "" }

// searches tells whether the job looks something up.
func (j *job) searches() bool {
	return j.action == actionSearch || j.action == "" && !j.workflow.operation.Writes
}

// updates makes the list of what data memorialization writes: for each record of
// the interaction the fields that the mappings have for its kind and the contact
// a value for.
func updates(payload document, mappings []*dataMapping) ([]any, error) {
	const form = "must be a list of {entity, entityId}"
	records, ok := payload["integration"].([]any)
	if !ok {
		return nil, core.InvalidField("integration", form)
	}
	list, fits := []any{}, len(records) == 0
	for _, entry := range records {
		record, _ := entry.(map[string]any)
		entity, known := expression.Text(record["entity"])
		id, named := expression.Text(record["entityId"])
		if !known || !named || entity == "" || id == "" {
			return nil, core.InvalidField("integration", form)
		}
		fields := map[string]any{}
		for _, m := range mappings {
			fits = m.apply(entity, payload["cxoneContact"], fields) || fits
		}
		if len(fields) > 0 {
			list = append(list, map[string]any{"entity": entity, "entityId": id, "fields": fields})
		}
	}
	if !fits {
		return nil, core.InvalidField("integration", "the data mapping has fields for none of these records")
	}
	return list, nil
}

// apply sets the fields that the mapping has for an entity from a contact; false
// when it has none.
func (m *dataMapping) apply(entity string, contact any, fields map[string]any) (fits bool) {
	for _, e := range m.entities {
		if !strings.EqualFold(e.name, entity) {
			continue
		}
		fits = true
		for _, f := range e.fields {
			// What the contact has no word for leaves the field as it is.
			if text, _ := wordsOf(integration.Dig(contact, f.other)); text != "" {
				fields[f.name] = text
			}
		}
	}
	return fits
}

// wordsOf is expression.Text, where a list of such values is one text.
func wordsOf(v any) (string, bool) {
	list, ok := v.([]any)
	if !ok {
		return expression.Text(v)
	}
	var words []string
	for _, entry := range list {
		if text, ok := expression.Text(entry); ok {
			words = append(words, text)
		}
	}
	return strings.Join(words, ", "), len(words) > 0
}
