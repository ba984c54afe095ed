package usernet

import (
	"context"
	"net"
	"strings"
)

// names resolves as programs of the host do, from its files and its servers of DNS.
type names struct{ *net.Resolver }

func (n *network) names() names { return names{&net.Resolver{PreferGo: true, Dial: n.dial}} }

// LookupIPAddr looks a name up. Queries have names with a dot at the end, which /etc/hosts does not have at those of one part.
func (n names) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	if label := strings.TrimSuffix(host, "."); label != "" && !strings.Contains(label, ".") {
		host = label
	}
	return n.Resolver.LookupIPAddr(ctx, host)
}
