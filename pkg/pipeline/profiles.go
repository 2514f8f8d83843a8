package pipeline

// ProfileRoute is the way by which a client pushed a profile.
type ProfileRoute string

// The two push routes of Pyroscope.
const (
	// ProfileIngest is POST /ingest: Body is the request body as received.
	ProfileIngest ProfileRoute = "ingest"
	// ProfilePush is /push.v1.PusherService/Push: Body is the protobuf
	// encoding of push.v1.PushRequest, whatever encoding the client used.
	ProfilePush ProfileRoute = "push"
)

// Profile is one pushed request, or what a scrape has made into one.
type Profile struct {
	Route       ProfileRoute
	Query       string // raw query string; ProfileIngest only
	ContentType string // as received; ProfileIngest only
	Body        []byte
	Items       int // profiles in the request: 1 for ProfileIngest
	// Named means that the labels are as they are to be stored: a component on the way
	// has read them, or has made the profile. Otherwise they are a client's, and its
	// application name is still to become the name of a service.
	Named bool
}
