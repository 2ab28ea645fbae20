// Package expression evaluates what integrators write in mapping files.
//
// Text comes in at load: Compile takes one expression, CompileTree a YAML tree
// whose texts may be expressions, CompilePath a path with expressions in
// braces. What is wrong comes back with its exact place in the file. Data comes
// in at run time as an Env of plain JSON values and leaves as plain JSON values.
//
// The grammar is that of expr-lang; its parser is all that is used of it. The
// parsed expression becomes a tree of Go functions, so that every member, every
// operator and every function is one that stands in this package: there is no
// reflection, no method of a value can be called, and nothing reaches a file,
// the network, the clock or the environment. Each evaluation has a budget of
// loop turns, of work and of time, and every text and every result is bounded:
// a hostile expression costs milliseconds and ends in an error.
//
// Texts of query languages are made by functions that know how a literal is
// written in each (soql, odata and so on). Their results are of a type of their
// own, a fragment, so that a text from outside can never become part of a query
// without being quoted.
package expression
