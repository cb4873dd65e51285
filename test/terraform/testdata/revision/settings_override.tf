resource "aws_iot_event_configurations" "here" {
  event_configurations = {
    "THING"                  = false
    "THING_GROUP"            = true
    "THING_TYPE"             = false
    "THING_GROUP_MEMBERSHIP" = false
    "THING_GROUP_HIERARCHY"  = false
    "THING_TYPE_ASSOCIATION" = false
    "JOB"                    = false
    "JOB_EXECUTION"          = false
    "POLICY"                 = false
    "CERTIFICATE"            = true
    "CA_CERTIFICATE"         = true
  }
}

resource "aws_iot_indexing_configuration" "here" {
  thing_indexing_configuration {
    thing_indexing_mode = "REGISTRY_AND_SHADOW"

    custom_field {
      name = "attributes.room"
      type = "String"
    }
  }
}

resource "aws_iot_logging_options" "here" {
  default_log_level = "ERROR"
  disable_all_logs  = true
}
