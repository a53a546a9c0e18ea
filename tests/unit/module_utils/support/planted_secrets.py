"""Texts that each hold a secret, and the secret."""

from __future__ import annotations

# Made up, and put together here so that no scanner takes them for real ones.
AWS_ID = "AKIA" + "IOSFODNN7EXAMPLE"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"
PEM = (
    "-----BEGIN "
    + "OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----"
)
GOOGLE = "AIza" + "S" * 35
OAUTH = "ya29." + "a0AfB_byExampleExample"
JWT = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcDEF123"
SECRETS = {
    "aws id": (f"using {AWS_ID} now", AWS_ID),
    "aws environment": (f"export AWS_SECRET_ACCESS_KEY={AWS_SECRET}", AWS_SECRET),
    "aws ini": (f"aws_secret_access_key = {AWS_SECRET}\nregion = eu-1", AWS_SECRET),
    "json": ('{"password": "hunter2 and more", "host": "a"}', "hunter2"),
    "json in json": ('"env": "{\\"api_key\\": \\"k1234567\\"}"', "k1234567"),
    "yaml": ("ansible_become_password: s3cr3t!\nuser: a", "s3cr3t!"),
    "quoted": ("dlrm_token='two words'", "two words"),
    "option": ("rclone --s3-secret-access-key abcdefgh1 copy", "abcdefgh1"),
    "rclone": (":s3,provider=X,secret_access_key=abc123def:bucket", "abc123def"),
    "pem": (f"key:\n{PEM}\nafter", "b3BlbnNzaC1rZXktdjEA"),
    "pem in json": (f'{{"k": "{PEM}"}}'.replace("\n", "\\n"), "b3BlbnNzaC1rZXktdjEA"),
    "pem cut off": (PEM[:60], "b3BlbnNzaC"),
    "userinfo": ("fetch https://joe:pa55@host/x", "pa55"),
    "userinfo token": ("git clone https://tok3nvalue@host/x.git", "tok3nvalue"),
    "aws url": ("https://b/o?X-Amz-Signature=0123abcd&x=1", "0123abcd"),
    "gcp url": ("https://b/o?X-Goog-Credential=me%40x&X-Goog-Signature=ffee", "ffee"),
    "azure url": ("https://b/o?sv=2022&sig=AbC%2B12%3D", "AbC%2B12%3D"),
    "bearer": ("Authorization: Bearer abcdef123456", "abcdef123456"),
    "google key": (f"key {GOOGLE}", GOOGLE),
    "oauth": (OAUTH, OAUTH),
    "jwt": (f"sent {JWT}", JWT),
    "github": ("ghp_" + "a" * 36, "a" * 36),
    "vault": (
        "$ANSIBLE_VAULT;1.1;AES256\n  6162636465666768696a6b6c\n  31323334353637383930",
        "3132333",
    ),
}
