# CA certificates, and certificates that others signed.

data "aws_iot_registration_code" "here" {}

resource "aws_iot_ca_certificate" "proved" {
  active                       = true
  allow_auto_registration      = true
  ca_certificate_pem           = file("${path.module}/pem/ca.pem")
  verification_certificate_pem = file("${path.module}/pem/verification.pem")

  registration_config {
    role_arn      = "arn:aws:iam::000000000000:role/provisioning"
    template_body = file("${path.module}/jitp.json")
  }

  tags = {
    factory = "north"
  }
}

resource "aws_iot_ca_certificate" "by_name" {
  active                  = false
  allow_auto_registration = false
  certificate_mode        = "SNI_ONLY"
  ca_certificate_pem      = file("${path.module}/pem/other-ca.pem")
}

resource "aws_iot_certificate" "with_ca" {
  active          = true
  certificate_pem = file("${path.module}/pem/leaf.pem")
  ca_pem          = file("${path.module}/pem/ca.pem")

  depends_on = [aws_iot_ca_certificate.proved]
}

resource "aws_iot_certificate" "without_ca" {
  active          = true
  certificate_pem = file("${path.module}/pem/stranger.pem")
}
