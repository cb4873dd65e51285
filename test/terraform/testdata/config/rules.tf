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

# The kinds of action that are not above, ten to a rule, which is the limit.

resource "aws_iot_topic_rule" "storage" {
  name        = "storage"
  enabled     = true
  sql         = "SELECT *, topic(2) AS door FROM 'doors/+/state' WHERE open"
  sql_version = "2016-03-23"

  cloudwatch_alarm {
    alarm_name   = "doors"
    role_arn     = local.role
    state_reason = "a door is open"
    state_value  = "ALARM"
  }

  cloudwatch_logs {
    log_group_name = "doors"
    role_arn       = local.role
    batch_mode     = true
  }

  cloudwatch_metric {
    metric_name      = "open"
    metric_namespace = "doors"
    metric_unit      = "Count"
    metric_value     = "1"
    role_arn         = local.role
  }

  dynamodb {
    table_name      = "doors"
    hash_key_field  = "door"
    hash_key_type   = "STRING"
    hash_key_value  = "$${topic(2)}"
    range_key_field = "at"
    range_key_type  = "NUMBER"
    range_key_value = "$${timestamp()}"
    role_arn        = local.role
  }

  dynamodbv2 {
    role_arn = local.role

    put_item {
      table_name = "doors"
    }
  }

  elasticsearch {
    endpoint = "https://search.example.com"
    id       = "$${newuuid()}"
    index    = "doors"
    role_arn = local.role
    type     = "state"
  }

  firehose {
    delivery_stream_name = "doors"
    role_arn             = local.role
    separator            = "\n"
  }

  kinesis {
    stream_name   = "doors"
    partition_key = "$${topic(2)}"
    role_arn      = local.role
  }

  s3 {
    bucket_name = "doors"
    key         = "$${topic(2)}/$${timestamp()}"
    canned_acl  = "private"
    role_arn    = local.role
  }

  timestream {
    database_name = "doors"
    table_name    = "state"
    role_arn      = local.role

    dimension {
      name  = "door"
      value = "$${topic(2)}"
    }

    timestamp {
      unit  = "MILLISECONDS"
      value = "$${timestamp()}"
    }
  }
}

resource "aws_iot_topic_rule" "services" {
  name        = "services"
  enabled     = true
  sql         = "SELECT * FROM 'doors/#'"
  sql_version = "2015-10-08"

  http {
    url              = "https://example.com/doors"
    confirmation_url = "https://example.com/"

    http_header {
      key   = "from"
      value = "doors"
    }
  }

  iot_analytics {
    channel_name = "doors"
    role_arn     = local.role
  }

  iot_events {
    input_name = "doors"
    message_id = "$${newuuid()}"
    role_arn   = local.role
  }

  kafka {
    destination_arn = aws_iot_topic_rule_destination.inside.arn
    topic           = "doors"

    client_properties = {
      "bootstrap.servers" = "kafka.example.com:9092"
      "acks"              = "1"
    }
  }

  sns {
    message_format = "RAW"
    target_arn     = "arn:aws:sns:us-east-1:000000000000:doors"
    role_arn       = local.role
  }

  sqs {
    queue_url  = "https://sqs.us-east-1.amazonaws.com/000000000000/doors"
    use_base64 = false
    role_arn   = local.role
  }

  step_functions {
    state_machine_name    = "doors"
    execution_name_prefix = "door-"
    role_arn              = local.role
  }
}

locals {
  role = "arn:aws:iam::000000000000:role/rules"
}
