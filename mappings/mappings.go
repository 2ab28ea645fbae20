package mappings

import "embed"

// FS holds the shipped files, by the paths that they have in a mappings folder.
//
//go:embed */*.yaml
var FS embed.FS
