package flow

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"tandem/core"
	"tandem/core/mapping"
)

// Kind names an activity, in the words of the vendor's workflow editor.
type Kind string

// The activities.
const (
	AcceptConversation     Kind = "Accept Conversation"
	CheckCondition         Kind = "Check Condition"
	SetPriority            Kind = "Set Priority"
	Delay                  Kind = "Delay"
	WaitForParameter       Kind = "Wait for Parameter"
	SaveToParameter        Kind = "Save to Parameter"
	QueueTask              Kind = "Queue Task"
	RunOperation           Kind = "Run Operation"
	ScreenPop              Kind = "Screen Pop"
	DisconnectConversation Kind = "Disconnect Conversation"
)

// end is the place behind the last activity: the conversation is disconnected.
const end = -1

// Activity is one checked step of a workflow. Places are indexes into
// Workflow.Activities, or end.
type Activity struct {
	Kind      Kind
	Field     string // Check Condition: the system field or parameter.<name>
	Operator  string // Check Condition
	Value     string // Check Condition, Save to Parameter
	From      string // Save to Parameter: the field to copy, instead of Value
	Parameter string // Wait for Parameter, Save to Parameter
	Priority  core.Priority
	Limit     time.Duration // Delay, Wait for Parameter, Queue Task, Run Operation
	Next      int           // where it goes on; with a condition: when it holds
	Else      int           // Check Condition: does not hold; waits: the limit passed; Run Operation: it failed

	call  *call  // Run Operation
	saves []save // Run Operation: what becomes of its result
	page  *page  // Screen Pop
}

// Workflow is a checked workflow. It never changes; a changed file is another
// Workflow with another Hash.
type Workflow struct {
	Name       string
	Title      string
	Modality   core.Modality
	Activities []Activity
	Text       []byte // the file's bytes
	Hash       string // hex SHA-256 of Text

	endings []*call // run when the task has ended
	uses    []use   // of operations, for Check
}

// use is a place where a workflow names an operation.
type use struct {
	file      string
	operation mapping.Text
	inputs    []mapping.Text // the names that it gives
}

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
