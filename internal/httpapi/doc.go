// Package httpapi is the HTTP face of Sandpiper: routes, problem documents, WebSocket and SSE.
//
// A handler decodes, calls and encodes; what it calls decides. The truth of everything shown here lives in SQL.
// Who is asking is an argument of every call, so one caller never sees what is another's: that is always 404.
//
// Without keys the API trusts whoever reaches loopback, and every web page in the user's browser reaches loopback.
// So a request must name a loopback host (or a configured one), must not come from a page elsewhere, and a body
// must be declared as JSON, which a page elsewhere cannot send unasked (see guard.go).
package httpapi
