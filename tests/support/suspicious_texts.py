"""Texts that hold, nearly hold, or do not hold secrets and personal data: seeds, and mutations."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

from bedrock_sluice.transforms.privacy import secret_kinds

CORPUS = Path(__file__).parents[1] / "transforms" / "privacy" / "secret_corpus"
RANDOM = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2dF3hG4kL5nM6" * 6
HEX = "0123456789abcdef" * 6
JWT = "eyJhbGciOiJub25lIiwiYSI6MX0.eyJhIjoxfQ.c2ln"
PEM = (
    f"-----BEGIN RSA PRIVATE KEY-----\n{RANDOM[:96]}\n{RANDOM[:48]}\n-----END RSA PRIVATE KEY-----"
)
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYzEXAMPLEKE"
IBANS = "GB82WEST12345698765432 NO9386011117947 DE89370400440532013000 FR1420041010050500013M02606"

TOKENS = (
    *(f"{start}{RANDOM[:140]}" for start, _ in secret_kinds._FORMS),
    *(f"{start}{HEX[:32]}" for start, _ in secret_kinds._FORMS),
    *(f"{start}{HEX[:40]}" for start, _ in secret_kinds._FORMS),
    *(f"{start}{RANDOM[:36]}" for start, _ in secret_kinds._FORMS),
    f"https://hooks.slack.com/services/T{RANDOM[:8]}/B{RANDOM[:8]}/{RANDOM[:24]}",
    f"https://discord.com/api/webhooks/{'1234567890' * 2}/{RANDOM[:68]}",
    f"https://x.webhook.office.com/webhookb2/{RANDOM[:36]}@{RANDOM[:36]}",
    f"123456789:AA{RANDOM[:33]}", f"AAAA{RANDOM[:7]}:APA91b{RANDOM[:134]}",
    f"{RANDOM[:3]}8Q~{RANDOM[:34]}", f'AC{HEX[:32]}", "{HEX[:32]}"', f"?code={RANDOM[:48]}",
    f"&sig={RANDOM[:44]}%3D", f"X-Amz-Signature={HEX[:64]}", f"{HEX[:32]}-us12",
    f"pat{RANDOM[:14]}.{HEX[:64]}", f"PHPSESSID={RANDOM[:26]}", f"JSESSIONID={RANDOM[:32]}",
    f"SG.{RANDOM[:22]}.{RANDOM[:43]}", f"glsa_{RANDOM[:32]}_{HEX[:8]}",
    f"PMAK-{HEX[:24]}-{HEX[:34]}", f"1\\/0{RANDOM[:40]}", f"1\\\\/0{RANDOM[:40]}",
    # no longer than they have to be
    f"pk_live_{RANDOM[:16]}", f"SG.{RANDOM[:16]}.{RANDOM[:16]}", f"?code={RANDOM[:40]}",
    f"webhooks/123456789012345/{RANDOM[:50]}", f"webhooks\\/123456789012345\\/{RANDOM[:50]}",
    f"12345678:AA{RANDOM[:33]}", f"?sig={RANDOM[:39]}/", f"?sig={'a1B2c3D4e5' * 3}\\/\\/\\/\\/\\/",
    f"PHPSESSID={RANDOM[:20]}", f"JSESSIONID={RANDOM[:20]}",
)  # fmt: skip
NAMED_TOKENS = tuple(
    template.replace("V", value)
    for template in (
        "token=V", "api_token: V", '"secret": "V"', "API_KEY = 'V'", "client_secret => V",
        "secret := `V`", "Authorization: Bearer V", "the bearer V", "BEARER  V", "token is: V",
        "token is V", "set('private_key', 'V')", '{"name": "API_KEY", "value": "V"}',
        "name: API_KEY\n  value: V", 'variable "auth_token" { default = "V" }', "NONCE_SALT', 'V'",
        "access_key[V]", "headers['auth_token'] = 'V'", "<secret>V</secret>", "token2: base64:V",
        "secret: Bearer V", "access keys: V", "Token\t=\tV", "bearer \\\"V\\\"",
        "token is \\\"V\\\"",
        "'auth_key\\', \\'V'", "token{default\t=\tV", "token, \tvalue\t:\tV",
        "token,\\u000avalue=V",
    )
    for value in (RANDOM[:32], RANDOM[:16], RANDOM[:15], "a1" + "/b2.c3~d4+e5-f6" * 2)
)  # fmt: skip
PASSWORDS = tuple(
    template.replace("V", value)
    for template in (
        "password: V", "password=V", 'password = "V"', '"password": "V"', "PASSWORD='V'",
        "pwd:V", "DB_PASS=V", "Passwort: V", "kennwort lautet V", "Wachtwoord is V", "senha: V",
        "contraseña: V", "Contrasena es: V", "mot de passe est V", "the password is still V",
        "password was: V", "| password | V |", "password|V", "login('kim', password, 'V')",
        "db.password', 'V'", 'define("DB_PASSWORD", "V")', "--password V", "--passphrase V",
        "password V", "passphrase `V`", '"name": "PASSWORD", "value": "V"',
        "- name: DB_PASSWORD\n  value: V", "password { default = V", "<password>V</password>",
        "PASSPHRASE='V and V'", "password\t:\tV", "pw=>V", "passcode := V", "os['pass']=V;",
        "sshpass -p V ssh a", "mysql -u root -pV", "mysqldump --all -pV db", "mariadb-admin -pV",
        "curl -s -u kim:V https://a.example", "curl --user=kim:V a", "ldapsearch -x -w V",
        "unzip -P V a.zip", "redis-cli -h a -a V", "docker login -u kim -p V",
        "echo V | sudo -S ls",
        "smbclient //a/b -U kim%V", "htpasswd -bc a kim V", "ConvertTo-SecureString -String V",
        "create user kim IDENTIFIED BY 'V'", "login kim password V", "host:5432:db:kim:V",
        "openssl rsa -passin pass:V", "machine a login kim\n  password V",
        "pass,\x1c value=V", "pass,\\u000avalue = V", "pass \\\"V\\\"", "pwd|\\\"V\\\"",
        "pass{default\t=\tV",
        "mysql \t -pV", "mysql \\\"a\\\" -pV", "https://kim:V@db.example.com/x",
        "postgres:\\/\\/kim:V@[::1]:5432", "redis://:V@cache:6379",
    )
    for value in ("Tr0ub4dor&3x!", "letmein", "p@s", "123456", "hunter2", "a,b&c1?d")
)  # fmt: skip
ENCODED_PASSWORDS = (
    "Authorization: Basic a2ltOlRyMHViNGRvcg==",
    '{"auth": "a2ltOlRyMHViNGRvcg=="} basic Basic"a2ltOnBhc3N3b3Jk"',
    '"auth":"a2ltOnBhc3N3b3Jk"',
    "Basic a2ltOnBh",
    '{\\"auth\\": \\"a2ltOnBh\\"}',
    'asic Basic\\"a2ltOnBh\\"',
    "Basic YTpi\\/\\/\\/",
    "basic a2ltOj8/Pz8=",
)
OTHER_SECRETS = (
    PEM, JWT, f"{JWT}.a.b", "AKIA" + "IOSFODNN7EXAMPLE", f"ASIAIOSFODNN7EXAMPLE, {AWS_SECRET}",
    f"aws_secret_access_key = {AWS_SECRET}", f"Secret Access Key: '{AWS_SECRET}'",
    f"aws secret is {AWS_SECRET}", f'AWS_SECRET_ACCESS_KEY": "{AWS_SECRET}',
    f"secretAccessKey\t=\t`{AWS_SECRET}`", f"secret, {AWS_SECRET}",
    f"Cookie: a=b; session_id={RANDOM[:24]}; c=d", f"set-cookie: csrf={RANDOM[:32]}",
    f"COOKIE: auth={RANDOM[:16]}", f"aws\tsecret\t=\t{AWS_SECRET}",
    f"secret_access_key\\t{AWS_SECRET}", f"aws_secret={AWS_SECRET.replace('/', chr(92) + '/')}",
    f'"Cookie" : "sid={RANDOM[:20]}"',
)  # fmt: skip
PERSONAL = (
    "kim.doe+news@mail.example.co.uk", "jürgen@bücher.example", "k@xn--bcher-kva.xn--p1ai",
    "о'брайен@пример.рф", "<kim@example.com>", "kim@1and1.com",
    *IBANS.split(), *(" ".join(i[n : n + 4] for n in range(0, 34, 4)) for i in IBANS.split()),
    *(i.lower().replace("4", "4", 1) for i in IBANS.split()), "gb82-west-1234-5698-7654-32",
    "GB82\u00a0WEST\u00a01234\u00a05698\u00a07654\u00a032",
    "4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "3782 822463 10005",
    "371449635398431", "30569309025904", "6011 0009 9013 9424", "card 4222222222222",
    "visa: 6304000000000000", "Maestro 501800000009", "3056 930902 5904", "card 6759649826438453",
    "219-09-9999", "SSN 219099999", "social security number: 219 09 9999", "ſsn: 219099999",
    "SOCİAL SECURİTY 219-09-9999", 'ssn="219099999"',
    "+1 415-555-0123", "+442079460018", "+44 (0)20 7946 0018", "0044 20 7946 0018",
    "+49.30.1234567",
    "00 49-30-1234567", "+33\u00a06\u202f12\u201134 56 78", "+1 (415) 555-0123", "+(49)301234567",
    "(415) 555-0123", "415-555-0123", "415.555.0123", "1-415-555-0123", "(11) 91234-5678",
    "06 12 34 56 11", "020 7946 0018", "(030) 1234567", "0171-1234567", "07700 900123",
    "030/1234567",
    "012345 67890", "02.12.34.56.78", "phone: 5550101234", "call me at 555 0101 234",
    "Tel. no. 5550101", "WHATSAPP 555.010.1234", "reach hİm on 5550101234", "fax number is 5550101",
    "móvil: 612345678", "téléfono 5550101234", "mobile (555) 0101", "text us on 555/010/12/34",
    "(11) 3123-4567", "02 1234567", "phone\t5550101", "phone: 55\\/50\\/10\\/1",
    "phone 55//50//101",
    "+49301234", "(5) 5", 'handy="5550101"', "rufnummer\t5550101234", "téléphone: 55 50 10 12",
    "sms nr 5550101",
)  # fmt: skip
HARMLESS = (
    "The quick brown fox", "see https://example.com/a/b?c=d#e", "2024-01-15 10:23:45.678",
    "def password(self): ...", "- [ ] token", "id 3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "[EMAIL_3f9a1c]", "[CARD_123456]", "value", "```python\nx = {'a': 1}\n```", "C:\\new\\table",
    "| a | b |\n|---|---|", "你好，世界", "\u001c", "\x85", "😀", "é", "1,234.56", "@decorator", "",
)  # fmt: skip
SEEDS = (
    *TOKENS, *NAMED_TOKENS, *PASSWORDS, *ENCODED_PASSWORDS, *OTHER_SECRETS, *PERSONAL, *HARMLESS
)  # fmt: skip
EDGES = (
    " ", "\n", "\t", "\r\n", "\u00a0", "\u2028", "\x1c", "\x0b", "-", "_", ".", ",", ":", ";", "=",
    "/", "\\", "\\n", "\\t", '\\"', "\\/", "\\u0041", "\\u001c", '"', "'", "`", "(", ")", "[", "]",
    "{", "}", "<", ">", "|", "@", "+", "0", "1", "9", "a", "n", "u", "x", "Z", "é", "ß", "ſ", "K",
    "ı", "İ", "٣", "😀", "[EMAIL_3f9a1c]",
)  # fmt: skip


def mutated_texts(number: int, seed: int) -> Iterator[str]:
    """Yield texts of one to four seeds, changed at random places, some of them as JSON in JSON."""
    rng = Random(seed)
    passages = [
        passage.replace("·", "").replace("⟦", "").replace("⟧", "")
        for path in sorted(CORPUS.glob("*.txt"))
        for passage in path.read_text(encoding="utf-8").split("\n")
    ]
    for _ in range(number):
        pieces = rng.choices(SEEDS if rng.random() < 0.8 else passages, k=rng.choice((1, 1, 2, 4)))
        text = rng.choice(EDGES).join(_mutate(rng, piece) for piece in pieces)
        for _ in range(rng.choice((0, 0, 1, 1, 2))):
            text = _as_json(rng, text)
        yield text


def _mutate(rng: Random, text: str) -> str:
    for _ in range(rng.choice((0, 0, 1, 2, 3))):
        place = rng.randint(0, len(text))
        match rng.randrange(5):
            case 0:
                text = text[:place] + rng.choice(EDGES) + text[place:]
            case 1:
                text = text[:place] + text[place + 1 :]
            case 2:
                text = text[:place] + rng.choice(EDGES) + text[place + 1 :]
            case 3:
                text = text.swapcase() if rng.random() < 0.3 else text[:place]
            case _:
                text = text.replace(rng.choice(' "/-'), rng.choice(EDGES))
    return text


def _as_json(rng: Random, text: str) -> str:
    key = rng.choice(("content", "password", "token", "phone", "auth", "Cookie", "x"))
    whole = json.dumps({key: text} if rng.random() < 0.7 else [text], ensure_ascii=False)
    return whole.replace("/", "\\/") if rng.random() < 0.2 else whole
