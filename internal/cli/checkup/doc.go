// Package checkup looks at a deployment from outside and says, one line a fact, what works and what to do about the
// rest. `sandpiper doctor` and the test layers of the integration guide (`sandpiper check`) are lists of its checks.
//
// It reads the configuration as `sandpiper up` does and brings up for itself what is not configured: a local Daytona
// and the offline model, or for the layers above the API a whole house, in a directory that it removes again. It never
// touches the data directory, the database and the queue of a deployment. What it made on a platform it deletes, also
// when it was interrupted; should even that fail, the platform deletes it after half an hour.
//
// A key never leaves it: its length does.
package checkup
