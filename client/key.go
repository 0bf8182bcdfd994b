package client

// Key is an API key, or a token. It cannot be printed by accident: every way of showing it, or a Client that has it,
// gives "[key]".
type Key string

// String hides the key.
func (Key) String() string { return "[key]" }

// GoString hides the key.
func (Key) GoString() string { return "[key]" }

// MarshalText hides the key, in JSON and in logs too.
func (Key) MarshalText() ([]byte, error) { return []byte("[key]"), nil }

// String says which API c speaks to, and no more.
func (c *Client) String() string { return "client of " + c.base }

// GoString says the same: %#v would otherwise show what is inside.
func (c *Client) GoString() string { return c.String() }
