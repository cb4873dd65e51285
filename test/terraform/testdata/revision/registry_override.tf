resource "aws_iot_thing_type" "lock" {
  tags = {
    team  = "doors"
    stage = "two"
  }
}

resource "aws_iot_thing" "door" {
  attributes = {
    floor = "2"
    lamp  = "on"
  }
}

resource "aws_iot_thing" "bare" {
  thing_type_name = aws_iot_thing_type.lock.name
}

resource "aws_iot_thing_group" "house" {
  properties {
    description = "Has a description now"
  }
}

resource "aws_iot_thing_group" "floor" {
  properties {
    description = "The first floor"

    attribute_payload {
      attributes = {
        level = "1"
      }
    }
  }

  tags = {
    stage = "two"
  }
}

resource "aws_iot_billing_group" "tenants" {
  properties {
    description = "Who pays now"
  }
}

resource "aws_iot_thing_type" "sensor" {
  deprecated = true
}
