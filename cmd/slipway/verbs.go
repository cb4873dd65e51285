package main

// verbs are the commands that speak to a control plane, ours or another.
type verbs struct {
	Template templateCmd `cmd:"" help:"Provisioning templates: what becomes of a device."`
	Claim    claimCmd    `cmd:"" help:"Claims: the certificates that devices provision with."`
	Device   deviceCmd   `cmd:"" help:"Devices: things with their certificates and policies."`
	Function functionCmd `cmd:"" help:"Functions: your own code, asked before each device."`
	Policy   policyCmd   `cmd:"" help:"Policies: what can work, and which statement decides."`
	Bulk     bulkCmd     `cmd:"" help:"Bulk registration: a file of lines becomes things."`
	Bucket   bucketCmd   `cmd:"" help:"Buckets: where files for registration and their reports are."`
	Account  accountCmd  `cmd:"" help:"Accounts: tenants of the server, each with devices and keys of its own."`
	Key      keyCmd      `cmd:"" help:"Access keys: who may call the control API, and for what."`
	Audit    auditCmd    `cmd:"" help:"The audit trail: who changed what, and proof that it is whole."`
	Trace    traceCmd    `cmd:"" help:"Show what became of a device's tries, and why."`
}
