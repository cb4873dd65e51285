package gateway

import "time"

// Limits bound what a connection may cost. Zero fields take the defaults, which
// are AWS's where AWS has the limit (device-gateway.md, section 3.6).
type Limits struct {
	Handshake   time.Duration // accept to CONNECT, at least; 10 s
	KeepAlive   time.Duration // the shortest keep-alive that is granted; 30 s
	Write       time.Duration // one write to a device; 30 s
	WebSocket   time.Duration // a connection that a signature opened; 24 h
	Strangers   int           // connections that did not pass CONNECT yet; 2,048
	Connections int           // all connections; 100,000
	FirstPacket int           // bytes of CONNECT; 16 KiB
	Packet      int           // bytes of any later packet; 149,504
	Payload     int           // bytes of a PUBLISH payload; 131,072
	Queue       int           // bytes that wait for a slow reader, about; 1 MiB
	Sessions    int           // that outlive their connections; 100,000
	Stored      int           // messages that wait for one such session; 10,000
	StoredBytes int           // … and their bytes; 16 MiB
	Failures    float64       // failed connections per second and address that are borne; 20
	Burst       int           // … and at once; 200
	Tarpit      time.Duration // who failed too often learns about so long after it knocked that it is refused; 5 s
	WillGrace   time.Duration // the wills of connections that died with the server wait so long for listeners; 3 s

	GroupStored      int // messages that wait for one shared group; 500,000
	GroupStoredBytes int // … and their bytes; 256 MiB

	Subscriptions int // of an account, those of sessions that are away included; 500,000
}

func (l Limits) withDefaults() Limits {
	or := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	long := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	long(&l.Handshake, 10*time.Second)
	long(&l.KeepAlive, 30*time.Second)
	long(&l.Write, 30*time.Second)
	long(&l.WillGrace, 3*time.Second)
	long(&l.Tarpit, 5*time.Second)
	long(&l.WebSocket, 24*time.Hour)
	if l.Failures == 0 {
		l.Failures = 20
	}
	or(&l.Strangers, 2048)
	or(&l.Connections, 100_000)
	or(&l.FirstPacket, 16<<10)
	or(&l.Packet, 149_504)
	or(&l.Payload, 131_072)
	or(&l.Queue, 1<<20)
	or(&l.Burst, 200)
	or(&l.Sessions, 100_000)
	or(&l.Stored, 10_000)
	or(&l.StoredBytes, 16<<20)
	or(&l.GroupStored, 500_000)
	or(&l.GroupStoredBytes, 256<<20)
	or(&l.Subscriptions, 500_000)
	return l
}

// AWS's fixed limits.
const (
	maxClientID      = 128
	maxTopic         = 256
	maxSlashes       = 7
	maxFilters       = 8  // per SUBSCRIBE or UNSUBSCRIBE
	maxSubscriptions = 50 // per connection
	maxInflight      = 100
	maxAliases       = 8
	maxKeepAlive     = 1200 * time.Second
	minClientPacket  = 512
	maxGroup         = 128     // bytes of a share name
	maxUser          = 8 << 10 // bytes of user properties, keys and values
	maxCorrelation   = 8 << 10
	maxContentType   = 256
)
