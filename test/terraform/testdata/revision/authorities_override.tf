resource "aws_iot_ca_certificate" "proved" {
  allow_auto_registration = false

  tags = {
    factory = "south"
  }
}

resource "aws_iot_ca_certificate" "by_name" {
  active = true
}

resource "aws_iot_certificate" "with_ca" {
  active = false
}
