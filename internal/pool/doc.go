// Package pool turns rows of sandboxes into sandboxes: it creates the one that a claim took, finds it again after a
// restart, starts it when the platform stopped it, and deletes what is not to be used again. Its roles see that there are
// enough of them, and not too many (Warmer, Usher, Reaper), and that rows and platform agree (Keeper, Warden).
//
// Which sandbox a job gets is decided in SQL, in the transaction of the claim (package store). This room only makes
// it true. The row comes first and its id is the sandbox's name on the platform, so a creation whose answer was
// lost is looked up and never made twice.
package pool
