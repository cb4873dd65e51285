resource "aws_iot_role_alias" "upload" {
  credential_duration = 7200
  tags                = {}
}

resource "aws_iot_authorizer" "token" {
  authorizer_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:judge-again"
  enable_caching_for_http = true
}

resource "aws_iot_domain_configuration" "devices" {
  authorizer_config {
    allow_authorizer_override = true
    default_authorizer_name   = aws_iot_authorizer.token.name
  }
}
