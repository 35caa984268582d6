"""Files that deploy the nightly run: systemd units, a Dockerfile, Terraform, CloudFormation."""
