package worker

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// special are the networks that are not the public Internet, beyond what package netip knows: the IANA IPv4 and IPv6 Special-Purpose Address Registries
// (RFC 6890 and its successors). 64:ff9b::/96, 2002::/16 and 2001::/32 carry an IPv4 address, which may be anything.
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10", "::/96",
)

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}

// public reports whether an address is one of the public Internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Zone() != "" {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// reach decides to which addresses a handler may connect.
type reach struct {
	host    string // of the URL
	allowed []netip.Prefix
}

// may reports whether a connection to an address may be made: it is public, or in a network that is allowed, or written in the URL itself. localhost
// stands for the addresses of the machine.
func (r reach) may(a netip.Addr) bool {
	a = a.Unmap()
	written, err := netip.ParseAddr(r.host)
	return public(a) || err == nil && written.Unmap() == a || r.host == "localhost" && a.IsLoopback() ||
		slices.ContainsFunc(r.allowed, func(p netip.Prefix) bool { return p.Contains(a) })
}

// control looks at the address that is dialled, after the name was resolved: a name may lead anywhere, and elsewhere the next time.
func (r reach) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %s: %w", address, err)
	}
	if !r.may(a.Addr()) {
		return &forbiddenError{host: r.host, addr: a.Addr().Unmap()}
	}
	return nil
}

func (r reach) dialer() *net.Dialer { return &net.Dialer{ControlContext: r.control} }

// forbiddenError says that a name leads to an address that is not public.
type forbiddenError struct {
	host string
	addr netip.Addr
}

func (e *forbiddenError) Error() string {
	return fmt.Sprintf("%s leads to %s, which is not an address of the public Internet: put its network into allow_networks if that is meant", e.host, e.addr)
}
