package monitor

// Payload is what is shown of a task's payload.
func Payload(of string) string { return payload("job", []byte(of)) }
