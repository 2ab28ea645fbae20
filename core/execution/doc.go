// Package execution remembers what ran: for people, for callers that ask again,
// and for those who come for a result later.
//
// A Recorder takes every run of an operation, whatever platform asked for it,
// and writes it behind the caller's back, in batches and at a bounded rate, so
// that the Executions page costs no request its time. FirstAnswers lets one of
// several equal requests run and hands its answer to the others, over replicas
// and restarts. Results keeps documents under an opaque cacheKey; they
// go to disk with the Recorder's batches, on PostgreSQL before the key is handed
// out, because another replica may be asked for it.
package execution
