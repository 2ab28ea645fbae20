// Package operation runs mapped operations: steps of HTTP calls to one
// integration, described by a mapping file, that turn an input into a result.
//
// Load makes a Catalogue of the files <integration>/<operation>.yaml of a
// mapping set, with every expression compiled and every name checked. A Runner
// runs one Operation of it: it checks the input, makes the calls of the steps
// through outbound, with the authorization of the tenant, takes what is needed
// out of the answers, and evaluates the output. Nothing is kept between two
// runs. Tests stand beside the files and run against recorded answers. A Mask
// hides what is private in everything that leaves the room for people's eyes.
package operation
