// Package sdk holds the conformance test of the local Daytona: the official TypeScript SDKs, in pinned versions from
// npm, drive it. What they do stands in steps/, what they must get, with the section of the protocol's reference
// (daytona-protocol.md) that says so, in steps_test.go.
package sdk
