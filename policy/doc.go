// Package policy is the AWS IoT policy language: what a certificate may do.
//
// A policy document is text. It is read once, strictly (Parse), made into
// patterns once per version (Compile), bound to one connection whenever what is
// known of that connection changes (Bind), and then asked for every action of
// the connection (Decide). Only the last step is hot: it walks the statements
// that name the action, compares texts, and allocates nothing.
//
// A decision names the statement that made it, and explains itself in a sentence
// that somebody who never read a policy can act on. Check and SuggestClaim say
// the same about a document before any device meets it.
//
// The language is spec/policies.md, sections 1 to 4. Where the vendor's text
// leaves a choice, the choice and its reason stand at the function that makes
// it. The registry of policies (records, versions, attachments) is in the files
// named registry*.go.
package policy
