// Package mappings holds the mapping files that ship with the hub.
//
// The files are for integrators and written in YAML; README.md is their manual.
// They are embedded, so that the hub runs without a mappings folder, and are
// read through the same door (core/mapping) as a folder on disk. There is no
// code here but the door to the files.
package mappings
