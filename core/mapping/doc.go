// Package mapping reads the files that integrators write.
//
// A folder of YAML files comes in as an fs.FS; Read turns it into a Set of
// files with their node trees, or says everything that is wrong with them, by
// file, line and column. Other rooms take their part of the Set with Under and
// turn a file into their own structs with Decode, which is strict: what it does
// not know, it refuses. Watch looks at the folder again and again and hands on
// what has changed; keeping the last good set is the business of its caller.
//
// Files are data from people, possibly hostile: their size, depth and number
// are bounded, they cannot refer to anything (no aliases, no includes, no
// symbolic links), and no content makes the package panic or hang.
package mapping
