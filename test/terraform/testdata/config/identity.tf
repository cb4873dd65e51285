# Certificates made here, and what they may do. The files below pem/ are made
# by the test.

resource "aws_iot_certificate" "keys" {
  active = true
}

resource "aws_iot_certificate" "csr" {
  active = true
  csr    = file("${path.module}/pem/csr.pem")
}

resource "aws_iot_policy" "speak" {
  name = "speak"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["iot:Connect"]
      Resource = "arn:aws:iot:*:*:client/door-1"
    }]
  })

  tags = {
    team = "doors"
  }
}

resource "aws_iot_policy_attachment" "certificate" {
  policy = aws_iot_policy.speak.name
  target = aws_iot_certificate.keys.arn
}

resource "aws_iot_policy_attachment" "group" {
  policy = aws_iot_policy.speak.name
  target = aws_iot_thing_group.floor.arn
}

resource "aws_iot_thing_principal_attachment" "door" {
  thing     = aws_iot_thing.door.name
  principal = aws_iot_certificate.keys.arn
}

resource "aws_iot_provisioning_template" "jitp" {
  name                  = "jitp"
  type                  = "JITP"
  enabled               = false
  provisioning_role_arn = "arn:aws:iam::000000000000:role/provisioning"
  template_body         = file("${path.module}/jitp.json")
}

resource "aws_iot_provisioning_template" "asking" {
  name                  = "asking"
  enabled               = true
  provisioning_role_arn = "arn:aws:iam::000000000000:role/provisioning"
  template_body         = file("${path.module}/../template.json")

  pre_provisioning_hook {
    target_arn = "arn:aws:lambda:us-east-1:000000000000:function:allow"
  }
}
