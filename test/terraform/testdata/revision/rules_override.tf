resource "aws_iot_topic_rule" "alarms" {
  description = "Alarms go where people look, twice"
  enabled     = false

  tags = {
    stage = "two"
  }
}

resource "aws_iot_topic_rule_destination" "inside" {
  enabled = false
}
