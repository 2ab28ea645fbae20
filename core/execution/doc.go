// Package execution remembers what ran: for people, for callers that ask again,
// and for those who come for a result later.
//
// A Recorder takes the runs that platforms, tasks and people ask for, and writes
// them behind their backs, in batches, so that the Executions page costs no
// request its time. Above a hundred a second of a tenant, of those that succeed and
// of those that fail, runs are counted and not kept; what the hub runs of its own
// accord, such as the upkeep of a subscription, is not given to it. Of fills a run
// with what people may see of it. FirstAnswers lets one of
// several equal requests run and hands its answer to the others, over replicas
// and restarts. Results keeps documents under an opaque cacheKey; they
// go to disk with the Recorder's batches, on PostgreSQL before the key is handed
// out, because another replica may be asked for it.
package execution
