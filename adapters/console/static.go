package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"

	"github.com/labstack/echo/v4"

	"tandem/core"
)

//go:embed static/console.css static/console.js static/htmx.min.js static/tandem.svg
var staticFiles embed.FS

// asset is a static file; its version is in the links to it, so that browsers
// may keep it for ever.
type asset struct {
	data    []byte
	media   string
	version string
}

func loadAssets() (map[string]asset, error) {
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	files := map[string]asset{}
	media := map[string]string{
		".css": "text/css; charset=utf-8",
		".js":  "text/javascript; charset=utf-8",
		".svg": "image/svg+xml",
	}
	for _, e := range entries {
		data, err := staticFiles.ReadFile(path.Join("static", e.Name()))
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		sum := sha256.Sum256(data)
		files[e.Name()] = asset{data, media[path.Ext(e.Name())], hex.EncodeToString(sum[:6])}
	}
	return files, nil
}

func (c *Console) static(ctx echo.Context) error {
	f, ok := c.files[ctx.Param("name")]
	if !ok {
		return core.Errorf(core.NotFound, "There is no such file.")
	}
	h := ctx.Response().Header()
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if ctx.QueryParam("v") == f.version {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	return ctx.Blob(http.StatusOK, f.media, f.data)
}
