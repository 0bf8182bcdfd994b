package job

// The codes of refused requests. They share one vocabulary with the codes of job failures.
const (
	InvalidRequest        Code = "INVALID_REQUEST"         // a field of the body has a bad value
	InvalidQuery          Code = "INVALID_QUERY"           // a query parameter has a bad value
	InvalidText           Code = "INVALID_TEXT"            // invalid UTF-8, or half of a surrogate pair
	OptionNotAvailable    Code = "OPTION_NOT_AVAILABLE"    // an option of the contract that this version does not have
	NotJSON               Code = "NOT_JSON"                // the body cannot be parsed
	BodyTooLarge          Code = "BODY_TOO_LARGE"          // the body is over the limit
	BodyIncomplete        Code = "BODY_INCOMPLETE"         // the body ended early, or came too slowly
	UnsupportedMediaType  Code = "UNSUPPORTED_MEDIA_TYPE"  // the body is of another type than the route takes
	InvalidIdempotencyKey Code = "INVALID_IDEMPOTENCY_KEY" // not 1 to 255 visible ASCII characters
	IdempotencyConflict   Code = "IDEMPOTENCY_CONFLICT"    // the key came with another body before
	HostNotAllowed        Code = "HOST_NOT_ALLOWED"        // the Host header names somebody else
	OriginNotAllowed      Code = "ORIGIN_NOT_ALLOWED"      // a web page elsewhere sent the request
	CredentialMissing     Code = "CREDENTIAL_MISSING"      // neither a key nor a token came along
	CredentialRefused     Code = "CREDENTIAL_REFUSED"      // the key or token is none of this server's
	CredentialExpired     Code = "CREDENTIAL_EXPIRED"      // the token was good, and its time is over
	ScopeMissing          Code = "SCOPE_MISSING"           // the key or token is not for this route
	Forbidden             Code = "FORBIDDEN"               // the caller names another user
	JobNotFound           Code = "JOB_NOT_FOUND"           // no such job, or not the caller's
	JobFinished           Code = "JOB_FINISHED"            // the job has ended
	JobNotFinished        Code = "JOB_NOT_FINISHED"        // the job has not ended yet
	SandboxNotFound       Code = "SANDBOX_NOT_FOUND"       // no such sandbox, or not the caller's
	LaneNotFound          Code = "LANE_NOT_FOUND"          // nothing ever went wrong in a lane of that name
	BatchNotFound         Code = "BATCH_NOT_FOUND"         // no such batch, or not the caller's
	SandboxBusy           Code = "SANDBOX_BUSY"            // a job runs in the sandbox
	SandboxLimit          Code = "SANDBOX_LIMIT"           // there are as many sandboxes as may be
	InvalidCursor         Code = "INVALID_CURSOR"          // not a cursor of this stream or list
	RouteNotFound         Code = "ROUTE_NOT_FOUND"         // no such path
	MethodNotAllowed      Code = "METHOD_NOT_ALLOWED"      // the path has no such method
	UpgradeRequired       Code = "UPGRADE_REQUIRED"        // the route speaks WebSocket only
	TooManyStreams        Code = "TOO_MANY_STREAMS"        // the caller, or the server, has too many streams open
	DatabaseAway          Code = "DATABASE_AWAY"           // the database does not answer
	DatabaseFull          Code = "DATABASE_FULL"           // the database's disk has no room
	InternalError         Code = "INTERNAL_ERROR"          // our fault; the log has it
)
