# How callers without a registered certificate, and devices that want AWS
# credentials, would be let in.

resource "aws_iot_role_alias" "upload" {
  alias               = "upload"
  role_arn            = "arn:aws:iam::000000000000:role/upload"
  credential_duration = 3600

  tags = {
    team = "doors"
  }
}

resource "aws_iot_authorizer" "token" {
  name                    = "token"
  authorizer_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:judge"
  status                  = "ACTIVE"
  token_key_name          = "Token-Header"

  token_signing_public_keys = {
    first = file("${path.module}/pem/public.pem")
  }

  tags = {
    team = "doors"
  }
}

resource "aws_iot_domain_configuration" "devices" {
  name         = "devices"
  service_type = "DATA"

  authorizer_config {
    allow_authorizer_override = false
    default_authorizer_name   = aws_iot_authorizer.token.name
  }

  tls_config {
    security_policy = "IoTSecurityPolicy_TLS13_1_2_2022_10"
  }

  tags = {
    team = "doors"
  }
}

resource "aws_iot_domain_configuration" "custom" {
  name                    = "custom"
  domain_name             = "iot.example.com"
  server_certificate_arns = ["arn:aws:acm:us-east-1:000000000000:certificate/11111111-2222-3333-4444-555555555555"]
  authentication_type     = "CUSTOM_AUTH"
  application_protocol    = "SECURE_MQTT"

  authorizer_config {
    default_authorizer_name = aws_iot_authorizer.token.name
  }
}
