terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

# Where Slipway is, and with which key, comes from `slipway env`. The one line
# here stops a run in a shell that forgot it from reaching an account on AWS.
provider "aws" {
  allowed_account_ids = ["000000000000"]
}

resource "aws_iot_thing_type" "sensor" {
  name = "Sensor"

  properties {
    description           = "Measures, and says so."
    searchable_attributes = ["serial"]
  }
}

# What a device may do once it is a thing.
resource "aws_iot_policy" "sensor" {
  name   = "SensorPolicy"
  policy = file("${path.module}/../policy.json")
}

# How a device with a claim becomes one. Slipway stores the role, uses none.
resource "aws_iot_provisioning_template" "sensors" {
  name                  = "Sensors"
  description           = "Sensors that leave the factory with a claim"
  enabled               = true
  provisioning_role_arn = "arn:aws:iam::000000000000:role/unused"
  template_body         = file("${path.module}/../template.json")

  tags = {
    "slipway:reprovision" = "deny"
  }

  depends_on = [aws_iot_thing_type.sensor, aws_iot_policy.sensor]
}

data "aws_iot_endpoint" "devices" {
  endpoint_type = "iot:Data-ATS"
}

output "endpoint" {
  description = "The host that devices connect to."
  value       = data.aws_iot_endpoint.devices.endpoint_address
}
