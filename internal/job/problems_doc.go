package job

// Problems documents every code of a refused request that is no code of a failed job, in the order in which a
// request meets them. Its HTTP status stands in package httpapi. Retryable says whether the same request may be
// accepted later.
var Problems = []CodeDoc{
	{
		HostNotAllowed, "The Host header does not name this server.",
		"The server was reached under a name that it was not told: a proxy, a port forward, or a web page whose name points to this machine.",
		"Call it by a loopback name, or add the name to SANDPIPER_HOSTS.", false,
	},
	{
		OriginNotAllowed, "Web pages of this origin may not call this server.",
		"A browser sent the request for a page from elsewhere, from a file, or from a sandboxed frame.",
		"Serve the page from the same host or from loopback, or call from a program instead of a page.", false,
	},
	{
		RouteNotFound, "There is nothing at this path.", "A typing error, or a route of another version.", "GET / lists the routes.", false,
	},
	{
		MethodNotAllowed, "This path does not have this method.", "A GET where a POST belongs, or the other way round.",
		"The Allow header has the methods; GET / lists the routes.", false,
	},
	{
		CredentialMissing, "The request has no key and no token.", "Keys are configured, and the request came without one. An address is not looked at: a key does not belong there.",
		"Send Authorization: Bearer … or X-API-Key; for the commands of a terminal, set SANDPIPER_API_KEY.", false,
	},
	{
		CredentialRefused, "The key or token is none that this server takes.",
		"A typing error, a key that was taken out of SANDPIPER_API_KEYS, a token of another issuer or for another audience, without exp, or signed in another way; or two different ones in one request.",
		"Get a new one from whoever runs the server. Its log says at the level debug what is wrong.", false,
	},
	{
		CredentialExpired, "The token's time is over.", "Its exp has passed.", "Get a new token.", false,
	},
	{
		ScopeMissing, "The key or token is not for this route.", "It lacks the scope that WWW-Authenticate names.", "Ask with a key that has the scope.", false,
	},
	{
		UpgradeRequired, "The route speaks WebSocket only.", "It was asked by a plain HTTP request, or by an old WebSocket version.",
		"Connect with a WebSocket client (version 13), or read the same events at /api/jobs/:id/events.", false,
	},
	{
		TooManyStreams, "Too many sockets, event streams and waiting requests are open.",
		"They are limited, for each caller and for the server. Clients often open a new one without closing the one before.",
		"Close some, or come back after Retry-After seconds. One socket can carry all events of a user.", true,
	},
	{
		UnsupportedMediaType, "The body is of another type than the route takes.",
		"Content-Type is missing, is not application/json, or the body is compressed or not in UTF-8.",
		"Send plain JSON with Content-Type: application/json.", false,
	},
	{
		BodyTooLarge, "The body is larger than this server takes.", "A prompt or an option of many megabytes.",
		"Send less: put large content where the prompt can find it.", false,
	},
	{
		BodyIncomplete, "The body ended before it was complete, or came too slowly.",
		"The connection broke, Content-Length was wrong, or the sender stalled.",
		"Send it again; an Idempotency-Key keeps it one job.", true,
	},
	{
		NotJSON, "The body is not JSON.", "A missing quote or brace, or two values where one belongs.", "Check the body with a JSON parser.", false,
	},
	{
		InvalidText, "The body holds text that is not valid Unicode.",
		"Bytes that are not UTF-8, or half of a surrogate pair in an escape: it could not reach the command as it was sent.",
		"Encode the text as UTF-8.", false,
	},
	{
		InvalidRequest, "The body has fields that cannot be accepted.", "A field is missing, unknown, or has a bad value.",
		"errors has every fault at once, each with a pointer to its field.", false,
	},
	{
		OptionNotAvailable, "The body asks for an option that is not available yet.",
		"It belongs to the API and this version does not have it.",
		"Leave it out, or use a version that has it. Nothing was started without it.", false,
	},
	{
		InvalidQuery, "The query has parameters that cannot be accepted.", "A parameter has a bad value.",
		"errors has every fault at once, each with the parameter's name.", false,
	},
	{
		InvalidCursor, "This is not a cursor of this stream or list.", "It was cut, made up, or comes from another list.",
		"Use cursors as they came. Without one, begin anew.", false,
	},
	{
		InvalidIdempotencyKey, "Idempotency-Key must be one value of 1 to 255 visible ASCII characters.",
		"It is empty, too long, sent twice, or has blanks in it.", "A UUID is a good key.", false,
	},
	{
		IdempotencyConflict, "This Idempotency-Key came with another body.", "The key was used before, for a request that was not the same.",
		"Use a new key for a new request; repeat a request byte for byte.", false,
	},
	{
		Forbidden, "The caller may not do this.", "The request names another user than the key or token is for; or the key is a service's, and the request names nobody.",
		"Leave userId out, or give the one in errors. A key with the scope ops may name anybody.", false,
	},
	{
		JobNotFound, "There is no such job, or it is not yours.", "A typing error, another user's job, or another database.",
		"Ask as the user who submitted it.", false,
	},
	{
		LaneNotFound, "There is no such lane.", "The id is wrong, or nothing ever went wrong in it: then there is nothing to clear.",
		"GET /api/lanes lists them.", false,
	},
	{
		SandboxNotFound, "There is no such sandbox, or it is not yours.", "It was deleted, belongs to another user, or never was.",
		"Leave sandboxId out and get one from your pool, or create one.", false,
	},
	{
		BatchNotFound, "There is no such batch, or it is not yours.", "A typing error, another user's batch, or one whose upload never was complete.",
		"Ask as the user who submitted it. An upload that was not answered with 202 made no batch: send it again.", false,
	},
	{
		SandboxBusy, "A job runs in the sandbox; it cannot be deleted.", "The sandbox was to be deleted before its job had ended.",
		"Cancel the job, or wait for its end, and ask again.", true,
	},
	{
		SandboxLimit, "There are as many sandboxes as may be, and none of them is idle.",
		"SANDPIPER_MAX_USER_SANDBOXES are the user's own, or SANDPIPER_MAX_SANDBOXES are everybody's, and jobs run in all of them or will go on there.",
		"Delete one, or wait for the end of a job, and ask again. A job may be submitted all the same: it waits.", true,
	},
	{
		JobFinished, "The job has ended; ended jobs never change.", "It ended before the request came.", "Read its result; submit a new job.", false,
	},
	{
		DatabaseAway, "The database does not answer.",
		"It is away, restarts, or was not there yet when this process started. Nothing was accepted.",
		"Come back after Retry-After seconds; /readyz says when it is there. An Idempotency-Key keeps a repeated request one job.", true,
	},
	{
		JobNotFinished, "The job has not ended; only ended jobs can be retried.", "It is queued or running, and Sandpiper tries it again by itself where that costs nothing.",
		"Wait for its end, or cancel it first.", true,
	},
	{
		DatabaseFull, "The database's disk has no room.",
		"Nothing was accepted; what was accepted before is kept, and goes on when there is room.",
		"Make room on the disk of the database, and send it again; an Idempotency-Key keeps it one job.", true,
	},
	{
		InternalError, "Something went wrong in Sandpiper.", "A bug, or something that it needs, such as the database, is away.",
		"Look at /readyz, and in the server's log for the requestId. The request may be sent again; an Idempotency-Key keeps it one job.", true,
	},
}
