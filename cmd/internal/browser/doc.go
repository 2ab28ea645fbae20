// Package browser drives a real Chromium for tests, as a person at the hub's
// pages would: it clicks what can be seen, waits for what appears, and keeps
// what the browser complained of. Only tests import it, so that the product
// links no browser.
//
// New starts a browser for one test and opens a Page, and the end of the test
// ends both. A Page does one thing after the other, each within a limit; what
// cannot be done fails the test there. Selectors are CSS. A picture of a page is
// written as PNG into the folder that New got.
package browser
