"""Secrets: recall and precision on a set of generated, labelled texts."""

import base64
import hashlib
import json
import string
import uuid
from collections.abc import Callable
from random import Random

import polars as pl
import pytest
from support.detectors import (
    assert_nearly_all_found,
    clean_texts,
    compare_findings,
    planted_texts,
)

from bedrock_sluice.transforms.privacy.kinds import SECRETS

SEED = 20_261_001
CLEAN_TEXTS = 260  # of each sort

Made = Callable[[Random], str]
LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
ALNUM = LOWER + UPPER + DIGITS
BASE64, BASE64URL = ALNUM + "+/", ALNUM + "-_"
WORDS = [
    "the", "of", "and", "river", "model", "price", "town", "answer", "list", "garden", "seven",
    "music", "system", "number", "report", "question", "train", "window", "color", "market",
    "paper", "light", "reason", "energy", "value", "test", "engine", "minute",
]  # fmt: skip


def chars(rng: Random, alphabet: str, size: int) -> str:
    return "".join(rng.choices(alphabet, k=size))


# --- values, made from the definitions of their formats ------------------------------------------


def aws_access_key(rng: Random) -> str:
    return rng.choice(["AKIA", "ASIA"]) + chars(rng, UPPER + "234567", 16)


def aws_secret_key(rng: Random) -> str:
    return chars(rng, BASE64, 40)


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(rng: Random) -> str:
    header = {"alg": rng.choice(["HS256", "RS256", "ES256", "none"]), "typ": "JWT"}
    separators = rng.choice([(",", ":"), (", ", ": ")])
    claims = {"sub": chars(rng, DIGITS, 10), "iat": 1_516_239_022, "scope": chars(rng, LOWER, 30)}
    parts = [json.dumps(part, separators=separators).encode() for part in (header, claims)]
    return ".".join([*map(base64url, parts), base64url(rng.randbytes(32))])


def pem(rng: Random) -> str:
    kind = rng.choice(["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "DSA "])
    body = base64.b64encode(rng.randbytes(rng.randint(120, 900))).decode()
    newline = rng.choice(["\n", "\n", "\r\n", "\\n"])
    lines = [body[i : i + 64] for i in range(0, len(body), 64)]
    begin, end = (f"-----{word} {kind}PRIVATE KEY-----" for word in ("BEGIN", "END"))
    return newline.join([begin, *lines, end])


def token(rng: Random) -> str:
    return rng.choice(
        [
            rng.choice(["ghp_", "gho_", "ghs_"]) + chars(rng, ALNUM, 36),
            f"github_pat_{chars(rng, ALNUM, 22)}_{chars(rng, ALNUM, 59)}",
            f"xoxb-{chars(rng, DIGITS, 12)}-{chars(rng, DIGITS, 12)}-{chars(rng, ALNUM, 24)}",
            "sk-" + chars(rng, ALNUM, 48),
            "sk-proj-" + chars(rng, BASE64URL, 60) + "a",
            "sk-ant-api03-" + chars(rng, BASE64URL, 92) + "AA",
            "AIza" + chars(rng, BASE64URL, 34) + "x",
            "glpat-" + chars(rng, BASE64URL, 19) + "x",
            "hf_" + chars(rng, LOWER + UPPER, 34),
            "npm_" + chars(rng, ALNUM, 36),
            "sk_live_" + chars(rng, ALNUM, 24),
            "ABSK" + chars(rng, BASE64, 127) + "=",
        ]
    )


def opaque_token(rng: Random) -> str:
    return rng.choice([chars(rng, ALNUM, rng.randint(24, 48)), rng.randbytes(20).hex()])


def password(rng: Random) -> str:
    word = rng.choice(WORDS).title() + rng.choice(WORDS)
    return rng.choice(
        [
            chars(rng, ALNUM, rng.randint(9, 20)) + rng.choice("!#%*?") + chars(rng, DIGITS, 2),
            f"{word}{rng.randint(10, 9999)}{rng.choice('!?#*')}",
            word.replace("a", "@").replace("e", "3") + str(rng.randint(10, 99)),
        ]
    )


# --- sentences around them -----------------------------------------------------------------------

ANYWHERE = [
    "{}", "Hello, my name is Kim and you find me under {}.", "Contact: {}", "({})", "<{}>",
    '{{"id": 7, "value": "{}", "ok": true}}', "name,value\nkim,{},2024\n",
    "- value: {}\n- other: 3", "Please write to {}, thank you!", "value='{}'", "| kim | {} | yes |",
    "Is it {}?", "see `{}` here", "2024-10-01T12:00:00Z INFO user=17 got {} ok", "<p>{}</p>",
    "Send 250.00 EUR to {} by 3 May.", "first line\n{}\nlast line", '	value = "{}";', "**{}**",
    "我的資料是 {} 謝謝", "[{}]", "{};",
]  # fmt: skip
WITH_AWS_WORD = [
    "aws_secret_access_key = {}", 'AWS_SECRET_ACCESS_KEY="{}"', '"SecretAccessKey": "{}",',
    "export AWS_SECRET_ACCESS_KEY={}", "aws_secret: {}", "Secret access key: {}",
    "my AWS secret key is {} ok?", "secretAccessKey: '{}'",
    '{{\\"aws_secret_access_key\\": \\"{}\\"}}',
]  # fmt: skip
WITH_TOKEN_WORD = [
    "Authorization: Bearer {}", "curl -H 'Authorization: Bearer {}' https://example.com",
    "api_key = '{}'", 'API_KEY="{}"', '"access_token": "{}"', "client_secret={}", "x-api-key: {}",
    "auth_token: {}", '{{\\"api_key\\": \\"{}\\"}}', "apiKey: '{}',",
]  # fmt: skip
WITH_PASSWORD_WORD = [
    "password = {}", 'password: "{}"', "Password: {}", "pwd={}", "DB_PASSWORD={}",
    '"password": "{}"', "My password is {}", "user=kim password={} host=db", "passwd: {}",
    "login kim --password {}", "postgres://kim:{}@db.example.com:5432/shop",
    '{{\\"password\\":\\"{}\\"}}', "userPassword = '{}';", "Server=db;User Id=kim;Password={};",
    "<password>{}</password>",
]  # fmt: skip


def label_sample(rng: Random, kind: str) -> tuple[str, str]:
    """A text, and the value in it that is to be found."""
    if kind == "token" and rng.random() < 0.4:
        value, around = opaque_token(rng), WITH_TOKEN_WORD
    else:
        maker, around = MAKERS[kind]
        value = maker(rng)
    return rng.choice(around).format(value), value


MAKERS: dict[str, tuple[Made, list[str]]] = {
    "pem": (pem, ANYWHERE),
    "jwt": (jwt, ANYWHERE),
    "aws_access_key": (aws_access_key, ANYWHERE),
    "aws_secret_key": (aws_secret_key, WITH_AWS_WORD),
    "token": (token, ANYWHERE),
    "password": (password, WITH_PASSWORD_WORD),
}


# --- clean texts ---------------------------------------------------------------------------------

CODE = [
    "password = input('Password: ')", "password: str = Field(min_length=8)",
    "def login(user, password): ...", "password = None", 'password = os.environ["DB_PASSWORD"]',
    "password=settings.db.password1,", "if password != confirm_password2:",
    '{"password": {"type": "string", "minLength": 12}}', "PASSWORD=$DB_PASSWORD",
    "password: <your password>", "Password: ********", "password: ${{ secrets.PW_2 }}",
    "password is required", "The password is too short, it needs 12 characters.",
    "Your password must hold 8 to 64 characters.", "password: must be 8 characters",
    'api_key = "YOUR_API_KEY"', "api_key=os.getenv('OPENAI_API_KEY')",
    "Authorization: Bearer <token>", "Authorization: Bearer $ACCESS_TOKEN",
    "Bearer YOUR_ACCESS_TOKEN_HERE", "token = tokenizer.decode(ids[:128])",
    "max_tokens: 4096, temperature: 0.7", "next_token = model(x)[0, -1]", "secret_key: null",
    "client_secret = config.get('client_secret')",
    "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----",
    "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----", "sk-learn and task-based sk-abc",
    "hf_hub_download(repo_id='a/b')", "eyJ is not a token",
    "the secret access key is kept in a vault", "aws_secret_access_key = <your secret>",
    "for (int i = 0; i < 1000000; ++i) {}", "password_hash = hash_password(password)",
    "pwd=/home/kim/project1", "password = get_password(user_id=1)", "pw = 'x' if password else 'y'",
    "password === password2", 'placeholder="Password"', "#password { color: #123456; }",
    "The phone has 128000000 bytes of memory", "call 5000000 times",
    "Phone model 15 from 2023-09-12", "mobile-first in 2024", "https://example.com:8080/a?to=b@c",
    "postgres://user:password@localhost/db", "postgres://user:${DB_PASSWORD}@db.example.com/x",
    "redis://:<password>@host", "Basic authentication is used here", "basic introductions to music",
    "next_token: eyJhIjoxfQ", "the token count is 123456789012345678", "password is SHA-256 hashed",
    "the password is base64-encoded", "labels = {password: 'Password'}",
    "ACCESS_TOKEN=$(vault read -field=token1 secret/app)", "api_key=settings.SERVICE_API_KEY_2",
    "secret_key = generate_secret_key_v2()",
    "private_key: PKCS7PrivateKeyTypes,", "secret-access-key: s3.secret-access-key",
    "csrf_token: {{ csrf_token_v2 }}",
    "AKIA is how access key ids begin", "ghp_ and sk- are prefixes",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    'if line == "-----BEGIN RSA PRIVATE KEY-----": pass',
]  # fmt: skip


def prose(rng: Random) -> str:
    return " ".join(rng.choices([*WORDS, "password", "token", "secret", "key"], k=30)) + "."


def code(rng: Random) -> str:
    return f"{prose(rng)}\n```\n{rng.choice(CODE)}\n```"


def digest(rng: Random) -> str:
    name = rng.choice(["md5", "sha1", "sha256", "sha512"])
    return f"commit {hashlib.new(name, rng.randbytes(8)).hexdigest()}"


def blob(rng: Random) -> str:
    return base64.b64encode(rng.randbytes(rng.randint(10, 300))).decode()


def told_digest(rng: Random) -> str:
    """Beside words that tell, what is no key: a hash, or words run together."""
    run = "".join(word.title() for word in rng.choices(WORDS, k=12))[:40]
    return rng.choice(["the secret is in commit {}", "aws secret rotated, see {}"]).format(
        rng.choice([rng.randbytes(20).hex(), run])
    )


def image(rng: Random) -> str:
    return (
        f"data:image/png;base64,{base64.b64encode(rng.randbytes(rng.randint(200, 900))).decode()}"
    )


def dotted_name(rng: Random) -> str:
    """Three parts of base64url whose first is no header of a token."""
    return ".".join(base64url(rng.randbytes(24)) for _ in range(3))


def identifier(rng: Random) -> str:
    return rng.choice(
        [
            str(uuid.UUID(int=rng.getrandbits(128))),
            f"req-{chars(rng, ALNUM, 22)}",
            f"toolu_{chars(rng, ALNUM, 24)}",
            f"AROA{chars(rng, UPPER, 16)}:session",
            f"i-{rng.randbytes(8).hex()}",
            f"s3://{rng.choice(WORDS)}/{chars(rng, ALNUM, 40)}/x.json",
        ]
    )


CLEAN: list[Made] = [prose, code, digest, blob, told_digest, image, dotted_name, identifier]


# --- what is found -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def comparison() -> pl.DataFrame:
    samples = planted_texts(SECRETS, label_sample, SEED)
    return compare_findings(samples, clean_texts(CLEAN, CLEAN_TEXTS, SEED))


def test_the_set_is_large() -> None:
    assert len(list(planted_texts(SECRETS, label_sample, SEED))) >= 500
    assert len(list(clean_texts(CLEAN, CLEAN_TEXTS, SEED))) >= 2_000


@pytest.mark.parametrize("kind", SECRETS)
def test_nearly_all_is_found_as_it_is_and_little_else(comparison: pl.DataFrame, kind: str) -> None:
    assert_nearly_all_found(comparison, kind)
