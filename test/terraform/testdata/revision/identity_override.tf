resource "aws_iot_certificate" "csr" {
  active = false
}

resource "aws_iot_policy" "speak" {
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["iot:Connect"]
      Resource = "arn:aws:iot:*:*:client/door-*"
    }]
  })
}

resource "aws_iot_provisioning_template" "jitp" {
  enabled = true
}

resource "aws_iot_provisioning_template" "asking" {
  description   = "Asks first"
  template_body = file("${path.module}/second.json")

  pre_provisioning_hook {
    target_arn = "arn:aws:lambda:us-east-1:000000000000:function:ask"
  }

  tags = {
    "slipway:validity" = "30d"
  }
}
