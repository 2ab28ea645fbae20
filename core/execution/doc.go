// Package execution remembers what ran: for people, for callers that ask again,
// and for those who come for a result later.
//
// A Recorder takes every run of an operation, whatever platform asked for it,
// and writes it behind the caller's back, in batches and at a bounded rate, so
// that the Executions page costs no request its time. FirstAnswers lets one of
// several equal requests run and hands its answer to the others, over replicas
// and restarts. Results keeps documents under an opaque cacheKey, which is handed
// out once the document is on disk: it goes there with a batch of the Recorder
// that is written at once.
package execution
