package powerautomate

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"

	"tandem/core"
)

// timeForm is RFC 3339 in UTC with milliseconds.
const timeForm = "2006-01-02T15:04:05.000Z"

// stamp writes a time; the zero time is absent.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeForm)
}

// taskEventData is the body of a task trigger. What is not known is left out:
// a null where a flow expects text fails the flow.
type taskEventData struct {
	TaskID                  string          `json:"taskId,omitempty"`
	CallChainID             string          `json:"callChainId,omitempty"`
	TenantID                string          `json:"tenantId,omitempty"`
	Event                   core.EventName  `json:"event"`
	Direction               core.Direction  `json:"direction,omitempty"`
	Modality                core.Modality   `json:"modality,omitempty"`
	Created                 string          `json:"created,omitempty"`
	Terminated              string          `json:"terminated,omitempty"`
	LastConnectedUserID     string          `json:"lastConnectedUserId,omitempty"`
	LastConnectedUserUPN    string          `json:"LastConnectedUserUPN,omitempty"`
	LastConnectedUserEmail  string          `json:"LastConnectedUserEmail,omitempty"`
	MicrosoftCallerID       string          `json:"microsoftCallerId,omitempty"`
	ReferenceID             string          `json:"referenceId,omitempty"`
	CallerID                string          `json:"callerId,omitempty"`
	CallerTelNumber         string          `json:"callerTelNumber,omitempty"`
	CallerUPN               string          `json:"callerUPN,omitempty"`
	MicrosoftDestinationID  string          `json:"microsoftDestinationId,omitempty"`
	DestinationID           string          `json:"destinationId,omitempty"`
	DestinationTelNumber    string          `json:"destinationTelNumber,omitempty"`
	DestinationUPN          string          `json:"destinationUPN,omitempty"`
	ACSID                   string          `json:"acsId,omitempty"`
	IsAnonymous             bool            `json:"isAnonymous"`
	CustomerIdentifier      string          `json:"customerIdentifier,omitempty"`
	InitialMessage          string          `json:"initialMessage,omitempty"`
	ServiceID               string          `json:"serviceId,omitempty"`
	ServiceName             string          `json:"serviceName,omitempty"`
	ServiceDescription      string          `json:"serviceDescription,omitempty"`
	ServiceDisplayName      string          `json:"serviceDisplayName,omitempty"`
	ServiceUPN              string          `json:"serviceUPN,omitempty"`
	ServiceTelNumber        string          `json:"serviceTelNumber,omitempty"`
	EmailSubject            string          `json:"emailSubject,omitempty"`
	EmailBodyUniqueRichText string          `json:"emailBodyUniqueRichText,omitempty"`
	EmailBodyUniquePlain    string          `json:"emailBodyUniquePlainText,omitempty"`
	EmailServiceMailboxUPN  string          `json:"emailServiceMailboxUPN,omitempty"`
	OutboundAttempt         int             `json:"outboundAttempt,omitempty"`
	UpdatedParameterName    string          `json:"updatedParameterName,omitempty"`
	UpdatedParameterValue   string          `json:"updatedParameterValue,omitempty"`
	TaskInformation         taskInformation `json:"taskInformation,omitzero"`
}

// taskInformation takes core's types as they are: their JSON names are the
// connector's.
type taskInformation struct {
	Customer                core.Customer        `json:"customer,omitzero"`
	CustomContextParameters []core.NamedValue    `json:"customContextParameters,omitempty"`
	PreferredUsers          []core.PreferredUser `json:"preferredUsers,omitempty"`
}

// Render returns an event as the connector's TaskEventData. It may be called
// from several goroutines at once and does not change the event.
func Render(ev core.Event) ([]byte, error) {
	t := &ev.Task
	d := taskEventData{
		TaskID: t.ID, CallChainID: t.CallChainID, TenantID: t.TenantID,
		Event: ev.Name, Direction: t.Direction, Modality: t.Modality,
		Created: stamp(t.Created), Terminated: stamp(t.Terminated),
		LastConnectedUserID: t.LastConnectedUser.ID, LastConnectedUserUPN: t.LastConnectedUser.UPN,
		LastConnectedUserEmail: t.LastConnectedUser.Email,
		MicrosoftCallerID:      t.Caller.MicrosoftID, ReferenceID: t.ReferenceID,
		CallerID: t.Caller.ID, CallerUPN: t.Caller.UPN,
		MicrosoftDestinationID: t.Destination.MicrosoftID, DestinationID: t.Destination.ID,
		DestinationTelNumber: t.Destination.TelNumber, DestinationUPN: t.Destination.UPN,
		ACSID: t.ACSID, IsAnonymous: t.CustomerIdentifier == "", CustomerIdentifier: t.CustomerIdentifier,
		InitialMessage: t.InitialMessage,
		ServiceID:      t.Service.ID, ServiceName: t.Service.Name, ServiceDescription: t.Service.Description,
		ServiceDisplayName: t.Service.DisplayName, ServiceUPN: t.Service.UPN, ServiceTelNumber: t.Service.TelNumber,
		EmailSubject: t.Mail.Subject, EmailBodyUniqueRichText: t.Mail.RichText, EmailBodyUniquePlain: t.Mail.PlainText,
		EmailServiceMailboxUPN: t.Service.MailboxUPN, OutboundAttempt: t.OutboundAttempt,
		TaskInformation: taskInformation{t.Customer, t.Parameters, t.PreferredUsers},
	}
	if t.Modality == core.Audio { // "Set only for tasks with modality=Audio."
		d.CallerTelNumber = t.Caller.TelNumber
	}
	if ev.Parameter != nil {
		d.UpdatedParameterName, d.UpdatedParameterValue = ev.Parameter.Name, ev.Parameter.Value
	}
	return json.Marshal(&d)
}

// externalTaskResult is the connector's ExternalTaskWriteResult.
type externalTaskResult struct {
	ID                 string               `json:"id"`
	Modality           core.Modality        `json:"modality"`
	Created            string               `json:"created"`
	Type               string               `json:"type"`
	IsAnonymous        bool                 `json:"isAnonymous"`
	ServiceID          string               `json:"serviceId,omitempty"`
	ServiceName        string               `json:"serviceName,omitempty"`
	ServiceDescription string               `json:"serviceDescription,omitempty"`
	ServiceDisplayName string               `json:"serviceDisplayName,omitempty"`
	ServiceUPN         string               `json:"serviceUPN"`
	ServiceTelNumber   string               `json:"serviceTelNumber,omitempty"`
	PreferredUsers     []core.PreferredUser `json:"preferredUsers,omitempty"`
}

func renderExternalTask(t *core.Task) ([]byte, error) {
	return json.Marshal(&externalTaskResult{
		ID: t.ID, Modality: t.Modality, Created: stamp(t.Created), Type: string(core.ExternalTask),
		IsAnonymous: t.CustomerIdentifier == "",
		ServiceID:   t.Service.ID, ServiceName: t.Service.Name, ServiceDescription: t.Service.Description,
		ServiceDisplayName: t.Service.DisplayName, ServiceUPN: t.Service.UPN, ServiceTelNumber: t.Service.TelNumber,
		PreferredUsers: t.PreferredUsers,
	})
}

// nameValue is one choice of a list. Flows store the value.
type nameValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func nameValues[T ~string](values []T) []nameValue {
	list := make([]nameValue, len(values))
	for i, v := range values {
		list[i] = nameValue{Name: label(string(v)), Value: string(v)}
	}
	return list
}

// label puts spaces between the words of a value: InstantMessaging becomes
// Instant Messaging.
func label(value string) string {
	var b strings.Builder
	small := false
	for _, r := range value {
		if small && unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
		small = unicode.IsLower(r)
	}
	return b.String()
}

// externalTaskInput is the connector's ExternalTaskWriteDto.
type externalTaskInput struct {
	ServiceUPN              string               `json:"serviceUpn"`
	CustomerIdentifier      string               `json:"customerIdentifier"`
	Customer                *customerInput       `json:"customer"`
	CustomContextParameters []namedInput         `json:"customContextParameters"`
	DistributionPriority    string               `json:"distributionPriority"`
	PreferredUsers          []preferredUserInput `json:"preferredUsers"`
}

// taskInput is the connector's TaskInformation as an update: what is absent or
// null stays as it is.
type taskInput struct {
	Customer                *customerInput        `json:"customer"`
	CustomContextParameters []namedInput          `json:"customContextParameters"`
	PreferredUsers          *[]preferredUserInput `json:"preferredUsers"`
}

type namedInput struct {
	Name  string  `json:"name"`
	Value *string `json:"value"`
}

type preferredUserInput struct {
	UPN      string `json:"upn"`
	Priority *int   `json:"priority"`
}

type customerInput struct {
	FirstName        *string      `json:"firstName"`
	LastName         *string      `json:"lastName"`
	DisplayName      *string      `json:"displayName"`
	Company          *string      `json:"company"`
	JobTitle         *string      `json:"jobTitle"`
	Department       *string      `json:"department"`
	StreetAddress    *string      `json:"streetAddress"`
	PostCode         *string      `json:"postCode"`
	City             *string      `json:"city"`
	State            *string      `json:"state"`
	Country          *string      `json:"country"`
	PrimaryTelNumber *string      `json:"primaryTelNumber"`
	TelNumbers       []namedInput `json:"telNumbers"`
	UPN              *string      `json:"UPN"`
	IMAddress        *string      `json:"imAddress"`
	Email            *string      `json:"email"`
	CustomFields     []namedInput `json:"customFields"`
}

// textOf is a text of an input and where it goes.
type textOf struct {
	name string
	in   *string
	out  *string
}

// texts pairs the texts of an input with their places in c.
func (in *customerInput) texts(c *core.Customer) []textOf {
	return []textOf{
		{"firstName", in.FirstName, &c.FirstName},
		{"lastName", in.LastName, &c.LastName},
		{"displayName", in.DisplayName, &c.DisplayName},
		{"company", in.Company, &c.Company},
		{"jobTitle", in.JobTitle, &c.JobTitle},
		{"department", in.Department, &c.Department},
		{"streetAddress", in.StreetAddress, &c.StreetAddress},
		{"postCode", in.PostCode, &c.PostCode},
		{"city", in.City, &c.City},
		{"state", in.State, &c.State},
		{"country", in.Country, &c.Country},
		{"primaryTelNumber", in.PrimaryTelNumber, &c.PrimaryTelNumber},
		{"UPN", in.UPN, &c.UPN},
		{"imAddress", in.IMAddress, &c.IMAddress},
		{"email", in.Email, &c.Email},
	}
}

// apply writes what an input gives into c: texts one by one, lists by name. c's
// lists are replaced, not changed.
func (in *customerInput) apply(c *core.Customer) {
	for _, t := range in.texts(c) {
		if t.in != nil {
			*t.out = *t.in
		}
	}
	c.TelNumbers = merge(c.TelNumbers, in.TelNumbers)
	c.CustomFields = merge(c.CustomFields, in.CustomFields)
}

// merge returns old with the input set by name. An entry without a value adds
// its name, and leaves a value that is there.
func merge(old []core.NamedValue, in []namedInput) []core.NamedValue {
	for _, v := range in {
		switch {
		case v.Value != nil:
			old = core.MergeNamed(old, []core.NamedValue{{Name: v.Name, Value: *v.Value}})
		case !hasName(old, v.Name):
			old = core.MergeNamed(old, []core.NamedValue{{Name: v.Name}})
		}
	}
	return old
}

func hasName(list []core.NamedValue, name string) bool {
	return slices.ContainsFunc(list, func(v core.NamedValue) bool { return v.Name == name })
}

// given returns the entries that have a value.
func given(in []namedInput) []core.NamedValue {
	var list []core.NamedValue
	for _, v := range in {
		if v.Value != nil {
			list = append(list, core.NamedValue{Name: v.Name, Value: *v.Value})
		}
	}
	return list
}
