package webex

import (
	"maps"

	"tandem/core"
)

// cause is why a call of a node ended as it did. A method has a word for each
// cause, or the generic one, or none.
type cause int

// The causes. Those of success come first.
const (
	causeDone         cause = iota // what the method asks for is done
	causeInsufficient              // a position is known, a waiting time is not
	causeAccepted                  // Resolve Conversation has begun; not the last word
	causeCreated
	causeReopened
	causeAppended

	causeInvalid      // the body, a field, a limit
	causeChoice       // no such node or method
	causeUnauthorized // the node has no valid authorization, or Webex takes it no more
	causeTimeout      // the deadline passed
	causeUpstream     // Webex could not be reached, failed, or said what nobody understands
	causeInternal     // a fault of the hub
	causeUnavailable  // the hub cannot take it now
	causeThrottled    // too many calls
	causeLimit        // too many open tasks
	causeUnknown      // the hub knows no such task, service or agent
	causeState        // the task is in a state that does not allow it, or Webex could not make it
	causeAppending    // an open task did not take a message

	causeRefusedForm    // Webex answered 400 or 413
	causeRefusedContent // 422
	causeRefusedAccess  // 403
	causeRefusedUnknown // 404
	causeRefusedState   // 409, 410 or 412

	causeNever // the vendor lists it and does not say when; the hub does not answer it
)

// generic are the words of methods that have none of their own. What Webex
// refuses is onError unless the method says otherwise.
var generic = map[cause]string{
	causeInvalid:       core.Table[core.Invalid].WebexOutcome,
	causeChoice:        "onInvalidChoice",
	causeUnauthorized:  core.Table[core.NeedsAuthorization].WebexOutcome,
	causeTimeout:       core.Table[core.Timeout].WebexOutcome,
	causeUpstream:      core.Table[core.Uncertain].WebexOutcome,
	causeRefusedAccess: core.Table[core.Forbidden].WebexOutcome,
}

// words are a method's own for success and for failure, and more.
func words(success, failure string, more map[cause]string) map[cause]string {
	all := map[cause]string{causeDone: success, causeUnknown: failure, causeState: failure}
	maps.Copy(all, more)
	return all
}

// refused is a failure that Webex caused by refusing the task itself.
func refused(word string) map[cause]string {
	return map[cause]string{causeRefusedUnknown: word, causeRefusedContent: word, causeRefusedState: word}
}

// setVariable is what both methods of the node say.
var setVariable = map[cause]string{
	causeDone: "Task Updated", causeUnknown: "Not Found", causeState: "Task Failed", causeUnavailable: "serviceUnavailable",
	causeRefusedForm: "Bad Request", causeRefusedContent: "Bad Request", causeRefusedUnknown: "Not Found", causeRefusedAccess: "Invalid Token",
}

// methods is the one table of the nodes: their words are spelled as the vendor
// spells them, case and spaces included.
//
//   - Where the vendor's page and its canvas differ, the canvas is what runs, and
//     is the default; the page's spelling belongs to the versions that the page
//     names.
//   - Close Task's accept and reject have no published outcomes: they are taken
//     from Close Task on WxCC.
//   - PIQ lists no onauthorizationfail and gets it all the same: a node without a
//     valid authorization says the same everywhere.
var methods = []method{
	{
		Node: "create-task", Name: "create", NodeTitle: "Create Task", Title: "Create Task", Versions: []string{"1.2", "1.0"},
		Fields: []string{
			"taskId*", "conversationId*", "destination*", "mediaType*", "mediaChannel*", "subject", "to", "cc", "hasAttachments",
			"customerName", "customerId*", "origin", "sourceNumber", "chatType", "direction",
		},
		Outputs: []string{"taskId", "conversationId"},
		Words:   words("created", "Task failed", map[cause]string{causeLimit: "Task failed", causeInternal: "Error"}),
	},
	{
		Node: "set-variable", Name: "global", NodeTitle: "Set Variable", Title: "Set Global Variable", Versions: []string{"1.7"}, Async: true,
		Fields: []string{"taskId*", "variables*"}, Outputs: []string{"taskId", "responsePayload"}, Words: setVariable,
	},
	{
		Node: "set-variable", Name: "flow", NodeTitle: "Set Variable", Title: "Set Flow Variable", Versions: []string{"1.7"}, Async: true,
		Fields: []string{"taskId*", "variables*"}, Outputs: []string{"taskId", "responsePayload"}, Words: setVariable,
	},
	{
		Node: "queue-task", Name: "queue", NodeTitle: "Queue Task", Title: "Queue Task", Versions: []string{"1.5", "1.3", "1.2", "1.1", "1.0"}, Async: true,
		Fields:   []string{"taskId*", "conversationId*", "mediaType*", "mediaChannel", "queueId*", "skillRequirements", "contactPriority"},
		Outputs:  []string{"taskId", "agentId"},
		Words:    words("Queued", "taskFailed", map[cause]string{causeInternal: "Error"}),
		Variants: []variant{{Versions: []string{"1.2", "1.1", "1.0"}, Words: map[cause]string{causeUnauthorized: "onauthorizatonfail", causeRefusedAccess: "onauthorizatonfail"}}},
	},
	{
		Node: "piq-ewt", Name: "fetch", NodeTitle: "PIQ and EWT", Title: "Fetch Position in Queue", Versions: []string{"1.1"},
		Fields:  []string{"queueId*", "taskId", "lookbackMinutes*"},
		Outputs: []string{"positionInQueue", "estimatedWaitTime", "status", "reasonCode", "reason"},
		Words:   words("Success", "Error", map[cause]string{causeInsufficient: "InsufficientData", causeInternal: "Error", causeUnavailable: "serviceUnavailable"}),
	},
	{
		Node: "routed-notification", Name: "accept", NodeTitle: "Routed Notification", Title: "Routed Accept", Versions: []string{"1.1", "1.0"},
		Fields: []string{"taskId*", "agentId*", "queueId", "mediaResourceId*", "mediaType*"},
		Words:  words("onTaskRouted", "onTaskRoutedFailure", refused("onTaskRoutedFailure")),
	},
	{
		Node: "routed-notification", Name: "reject", NodeTitle: "Routed Notification", Title: "Routed Reject", Versions: []string{"1.1", "1.0"},
		Fields: []string{"taskId*", "agentId*", "queueId", "mediaResourceId*", "mediaType*", "reason*", "reasonCode*"},
		Words:  words("onTaskRouted", "onTaskRoutedFailure", refused("onTaskRoutedFailure")),
	},
	{
		Node: "modify-notification", Name: "accept", NodeTitle: "Modify Notification", Title: "Modified Accept", Versions: []string{"1.1", "1.0"},
		Fields: []string{"taskId*", "agentId*", "queueId", "mediaResourceId*", "mediaType*"},
		Words:  words("onModifiedAcceptSuccess", "onModifiedFailure", refused("onModifiedFailure")),
	},
	{
		Node: "modify-notification", Name: "reject", NodeTitle: "Modify Notification", Title: "Modified Reject", Versions: []string{"1.1", "1.0"},
		Fields: []string{"taskId*", "agentId*", "queueId", "mediaResourceId*", "mediaType*", "reason*", "reasonCode*"},
		Words:  words("onModifiedRejectSuccess", "onModifiedRejectFailure", refused("onModifiedRejectFailure")),
	},
	{
		Node: "screen-pop", Name: "pop", NodeTitle: "Screen Pop", Title: "Screen Pop", Versions: []string{"1.3", "1.2", "1.1", "1.0"},
		Fields:  []string{"taskId*", "agentId*", "screenPopUrl*", "queryParameters", "target"},
		Aliases: map[string]string{"transid": "taskId"}, // on the wire it holds the task's id
		Words:   words("onScreenPopSuccess", "onScreenPopFailure", map[cause]string{causeUnavailable: "serviceUnavailable"}),
		Variants: []variant{{Versions: []string{"1.1", "1.0"}, Words: map[cause]string{
			causeDone: "onScreenpopSuccess", causeUnknown: "onScreenpopFailure", causeState: "onScreenpopFailure", causeInternal: "Error", causeNever: "Queued", causeUnavailable: "",
		}}},
	},
	{
		Node: "close-task", Name: "close", NodeTitle: "Close Task", Title: "Close Task on WxCC", Versions: []string{"2.5", "2.4", "1.1", "1.0"}, Async: true,
		Fields:  []string{"taskId*", "conversationId*", "mediaType*"},
		Aliases: map[string]string{"mediaresourceid": "conversationId"}, // one thing, by two names of the vendor
		Words:   words("Success", "Error", map[cause]string{causeInternal: "Error"}),
	},
	{
		Node: "close-task", Name: "accept", NodeTitle: "Close Task", Title: "Close Task Accept", Versions: []string{"2.5", "2.4", "1.1", "1.0"}, Async: true,
		Fields:  []string{"taskId*", "queueId", "mediaResourceId*", "mediaType*"},
		Aliases: map[string]string{"conversationid": "mediaResourceId"},
		Words:   words("Success", "Error", map[cause]string{causeInternal: "Error"}),
	},
	{
		Node: "close-task", Name: "reject", NodeTitle: "Close Task", Title: "Close Task Reject", Versions: []string{"2.5", "2.4", "1.1", "1.0"}, Async: true,
		Fields:  []string{"taskId*", "agentId*", "queueId", "mediaResourceId*", "mediaType*", "reason*", "reasonCode*"},
		Aliases: map[string]string{"conversationid": "mediaResourceId"},
		Words:   words("Success", "Error", map[cause]string{causeInternal: "Error"}),
	},
	{
		Node: "resolve-conversation", Name: "resolve", NodeTitle: "Resolve Conversation", Title: "Resolve Conversation", Versions: []string{"1.2", "1.1", "1.0"}, Async: true,
		Fields: []string{
			"flowId", "transId*", "mediaType*", "mediaChannel*", "details*", "overrideDefaultClose",
			"origin", "sourceNumber", "customerId", "customerName", "subject",
		},
		Outputs: []string{"transId", "taskId", "conversationOperation"},
		Words: map[cause]string{
			causeAccepted: "accepted", causeCreated: "created", causeReopened: "reopened", causeAppended: "appended",
			causeThrottled: "tooManyRequests", causeLimit: "tooManyRequests", causeUnavailable: "serviceUnavailable", causeInternal: "error",
			causeUnknown: "taskFailed", causeState: "taskFailed", causeAppending: "appendFailed",
		},
	},
}
