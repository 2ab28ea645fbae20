package outbound

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

// forbidden is written apart from the guard's own tables, to disagree with them
// when they change.
var forbidden = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
	"172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64",
	"2001::/32", "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20", "5f00::/16",
	"fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
	// and all that is no unicast address of the internet
	"::/3", "4000::/2", "8000::/1",
)

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func isForbidden(addr netip.Addr) bool {
	bare := addr.WithZone("")
	for _, p := range forbidden {
		if p.Contains(bare) {
			return true
		}
	}
	if !bare.Is6() {
		return false
	}
	b := bare.As16()
	id := binary.BigEndian.Uint32(b[8:12])
	return id == 0x00005efe || id == 0x02005efe || addr.Zone() != ""
}

func TestGuardRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"127.0.0.1", "127.255.255.254", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255",
		"192.168.0.1", "192.168.255.255", "169.254.169.254", "169.254.0.1", "100.64.0.1", "100.100.100.200",
		"100.127.255.255", "0.0.0.0", "0.1.2.3", "192.0.0.1", "192.0.0.192", "192.0.2.1", "198.18.0.1",
		"198.19.255.255", "198.51.100.1", "203.0.113.1", "192.88.99.1", "240.0.0.1", "255.255.255.255",
		"224.0.0.1", "239.255.255.255", "168.63.129.16",
		"::", "::1", "::7f00:1", "::127.0.0.1", "::8.8.8.8",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1",
		"fe80::1", "fe80::1%eth0", "febf::1", "fc00::1", "fd00:ec2::254", "fdff::1", "fec0::1", "feff::1",
		"64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:808:808::1",
		"2001::1", "2001:0:7f00:1::", "2001:db8::1", "3fff::1", "100::1", "ff02::1", "ff0e::1",
		"2a00:1450:4001:80b:0:5efe:7f00:1", "2a00:1450:4001:80b:200:5efe:10.0.0.1", "2606:4700::5efe:8.8.8.8",
		"fe80::5efe:127.0.0.1", "2a00:1450::1%eth0", "4000::1", "5f00::1",
	} {
		addr := netip.MustParseAddr(text)
		err := newGuard().check(addr)
		requireRefused(t, err, text)
		require.True(t, isForbidden(addr), text)
		require.Equal(t, "the hub may not connect to this address", err.(*core.Error).Message) //nolint:errorlint // the type itself is asked
	}
	requireRefused(t, newGuard().check(netip.Addr{}), "no address")
	requireRefused(t, newGuard().control(t.Context(), "tcp", "localhost:80", nil), "a name")
}

func TestGuardLetsThrough(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"8.8.8.8", "1.1.1.1", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.255.255.255",
		"128.0.0.1", "172.15.255.255", "172.32.0.1", "191.255.255.255", "192.0.1.1", "198.17.255.255", "198.20.0.1",
		"223.255.255.255", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "2a00:1450::5eff:7f00:1",
	} {
		require.NoError(t, newGuard().check(netip.MustParseAddr(text)), text)
	}
}

// FuzzGuard holds the guard against the table above, both ways.
func FuzzGuard(f *testing.F) {
	for _, p := range forbidden {
		f.Add(p.Addr().AsSlice())
	}
	f.Add(netip.MustParseAddr("8.8.8.8").AsSlice())
	f.Add(netip.MustParseAddr("2a00:1450::5efe:7f00:1").AsSlice())
	g := newGuard()
	f.Fuzz(func(t *testing.T, raw []byte) {
		addr, ok := netip.AddrFromSlice(raw)
		if !ok {
			return
		}
		require.Equal(t, isForbidden(addr), g.check(addr) != nil, addr.String())
	})
}

func requireRefused(t *testing.T, err error, about string) {
	t.Helper()
	var refusal *core.Error
	require.ErrorAs(t, err, &refusal, about)
	require.Equal(t, core.Forbidden, refusal.Kind, about)
	require.Equal(t, CodeAddressRefused, refusal.Code, about)
}
