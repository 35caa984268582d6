"""The kinds of secrets and personal data, by the names that recipes and masks give them.

Where findings overlap, the kind that stands first wins: it says most.
"""

SECRETS = ("pem", "jwt", "aws_secret_key", "aws_access_key", "token", "password")
PERSONAL = ("iban", "card", "us_ssn", "email", "phone")
KINDS = SECRETS + PERSONAL
