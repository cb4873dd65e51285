# Rules, and where they lead.

resource "aws_iot_topic_rule" "alarms" {
  name        = "alarms"
  description = "Alarms go where people look"
  enabled     = true
  sql         = "SELECT * FROM 'doors/+/alarm'"
  sql_version = "2016-03-23"

  republish {
    role_arn = "arn:aws:iam::000000000000:role/republish"
    topic    = "alarms/$${topic(2)}"
    qos      = 1
  }

  lambda {
    function_arn = "arn:aws:lambda:us-east-1:000000000000:function:alarm"
  }

  error_action {
    republish {
      role_arn = "arn:aws:iam::000000000000:role/republish"
      topic    = "errors"
    }
  }

  tags = {
    team = "doors"
  }
}

resource "aws_iot_topic_rule_destination" "inside" {
  enabled = true

  vpc_configuration {
    role_arn        = "arn:aws:iam::000000000000:role/network"
    security_groups = ["sg-0123456789abcdef0"]
    subnet_ids      = ["subnet-0123456789abcdef0"]
    vpc_id          = "vpc-0123456789abcdef0"
  }
}
