# Things, and what they are sorted by.

resource "aws_iot_thing_type" "lock" {
  name = "Lock"

  properties {
    description           = "Opens doors"
    searchable_attributes = ["floor", "room"]
  }

  tags = {
    team = "doors"
  }
}

resource "aws_iot_thing" "door" {
  name            = "door-1"
  thing_type_name = aws_iot_thing_type.lock.name

  attributes = {
    floor = "1"
    room  = "101"
  }
}

resource "aws_iot_thing" "bare" {
  name = "bare"
}

resource "aws_iot_thing_group" "house" {
  name = "house"
}

resource "aws_iot_thing_group" "floor" {
  name              = "floor"
  parent_group_name = aws_iot_thing_group.house.name

  properties {
    description = "The ground floor"

    attribute_payload {
      attributes = {
        level = "0"
      }
    }
  }

  tags = {
    team = "doors"
  }
}

resource "aws_iot_thing_group_membership" "door" {
  thing_name       = aws_iot_thing.door.name
  thing_group_name = aws_iot_thing_group.floor.name
}

resource "aws_iot_billing_group" "tenants" {
  name = "tenants"

  properties {
    description = "Who pays"
  }

  tags = {
    team = "money"
  }
}
