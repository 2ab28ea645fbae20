// Package cxone is the surface that NICE CXone calls: Workflow Execute, for
// scripts that reach the hub through the REST API action or Integration Hub, and
// the routes that NICE's own agent application uses for the same work.
//
// A caller proves itself with a key, in one of the forms that CXone can send
// (credential.go), and is looked up in one snapshot of the directory. The body,
// whatever label it carries, becomes a document (body.go) in which the names of
// both surfaces are found; a job is judged in a fixed order against the
// configurations of the caller's tenant (judge.go, load.go). The job runs
// (execute.go): one that reads ends at the caller's timeout, one that writes goes
// on behind it, and whoever asks again gets the first answer. One about a task of
// the hub runs no operation (tasks.go). What came of it is put into the form that
// the agent application reads (result.go), the verdict into a branch and errorArgs
// (answer.go). Discovery and cached results
// are in native.go. Judged executions are recorded, redacted, as many as
// people could look at.
package cxone
