. "$(dirname "$0")/../lib.sh"

# What docs/api.md does not call done is refused by its name.
later() { refuse NotImplementedException "$1 is not implemented by Slipway yet" "${@:2}"; }
later SearchIndex search-index --query-string 'thingName:*'
later CreateDynamicThingGroup create-dynamic-thing-group --thing-group-name later-a --query-string 'thingName:*'
later ListJobs list-jobs
later StartOnDemandAuditTask start-on-demand-audit-task --target-check-names LOGGING_DISABLED_CHECK
later TransferCertificate transfer-certificate --certificate-id "$(printf '0%.0s' {1..64})" --target-aws-account 111122223333
later ListCertificateProviders list-certificate-providers
later ListStreams list-streams
