# What an account has one of.

resource "aws_iot_event_configurations" "here" {
  event_configurations = {
    "THING"                  = true
    "THING_GROUP"            = false
    "THING_TYPE"             = false
    "THING_GROUP_MEMBERSHIP" = false
    "THING_GROUP_HIERARCHY"  = false
    "THING_TYPE_ASSOCIATION" = false
    "JOB"                    = false
    "JOB_EXECUTION"          = false
    "POLICY"                 = false
    "CERTIFICATE"            = true
    "CA_CERTIFICATE"         = false
  }
}

resource "aws_iot_indexing_configuration" "here" {
  thing_indexing_configuration {
    thing_indexing_mode              = "REGISTRY"
    thing_connectivity_indexing_mode = "STATUS"

    custom_field {
      name = "attributes.floor"
      type = "String"
    }
  }

  thing_group_indexing_configuration {
    thing_group_indexing_mode = "ON"
  }
}

resource "aws_iot_logging_options" "here" {
  default_log_level = "WARN"
  role_arn          = "arn:aws:iam::000000000000:role/logging"
}
