// Package crash names the moments at which the server is killed by the crash
// tests. In an ordinary build Point does nothing; with the build tag
// crashpoints it kills the process when SLIPWAY_CRASH_AT names the point.
package crash

// Points lists every named moment, in the order in which one device's flow
// passes them (docs/flows/claim.md has the same names).
var Points = []string{
	"create.linted",     // the CSR is good, nothing is written
	"create.intended",   // the intent is on disk, the key was not used
	"create.signed",     // the certificate exists in memory only
	"create.storing",    // inside the transaction that stores it
	"create.stored",     // on disk, not yet answered
	"create.answered",   // the answer is queued
	"register.planned",  // template and token are read
	"register.asked",    // the function has allowed it
	"register.applying", // inside the transaction, everything written
	"register.applied",  // on disk, not yet answered
	"register.answered", // the answer is queued
}

// JustInTime lists those that a certificate passes which connects before it is
// known, by its door, in order (docs/flows/jitp.md and docs/flows/jitr.md).
var JustInTime = map[string][]string{
	"jitp": {
		"arrive.found",       // its CA is known, nothing is written
		"arrive.registering", // inside the transaction that registers it
		"arrive.registered",  // PENDING_ACTIVATION, on disk
		"jitp.planned",       // the template is rendered
		"jitp.applying",      // inside the transaction, everything written
		"jitp.applied",       // on disk, not yet announced; the connection still stands
		"arrive.announced",   // the event was published
	},
	"jitr": {
		"arrive.found",
		"arrive.registering",
		"arrive.registered",
		"arrive.announced",
	},
}

// Bulk lists those that a line of bulk registration passes, and then its task
// (docs/flows/bulk.md).
var Bulk = []string{
	"create.intended", // the intent is on disk, the key was not used
	"create.signed",   // the certificate exists in memory only
	"bulk.applying",   // inside the transaction, everything written
	"bulk.applied",    // the line is done, on disk, and remembered
	"bulk.reported",   // both reports are written, the task is in progress
	"bulk.ended",      // the task has ended, its lines are remembered still
}

// ByHand lists those of the doors at which a person brings a device in, by
// door, in order (docs/flows/direct.md, trusted-user.md and device-code.md).
// After the last two doors the device goes through the claim flow.
var ByHand = map[string][]string{
	"direct": {
		"direct.foreseen", // nothing refuses the device, nothing is written
		"create.intended", // the intent is on disk, the key was not used
		"create.signed",   // the certificate exists in memory only
		"create.storing",  // inside the transaction, everything written
		"create.stored",   // the device is whole, on disk, not yet answered
	},
	"trusted": {
		"claim.allowed", // the template may have claims, nothing is written
		"create.intended",
		"create.signed",
		"create.storing", // inside the transaction that stores the claim
		"create.stored",  // on disk; nobody has its key but a process that is gone
	},
	"device-code": {
		"code.started", // the code is on disk, the device did not hear of it
		"code.decided", // the approval is on disk, the installer did not hear of it
		"claim.allowed",
		"create.intended",
		"create.signed",
		"create.storing", // inside the transaction that stores claim and code
		"create.stored",  // the claim is fetched, and the device has no answer
	},
}
