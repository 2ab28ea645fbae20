package core

import (
	"net/netip"
	"strings"
)

// Loopback tells whether a host name or an address without a port is the machine
// itself. No name is resolved.
func Loopback(host string) bool {
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.Zone() == "" && a.IsLoopback() || strings.EqualFold(host, "localhost")
}
