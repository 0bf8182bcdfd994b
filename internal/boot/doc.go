// Package boot opens and closes everything that a program of ours needs, in the order in which it depends on each
// other, and runs the background roles. The commands do nothing but call it, and end-to-end tests start the same.
package boot
