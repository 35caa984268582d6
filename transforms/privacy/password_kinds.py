"""What passwords look like: after their name, on a command line, in a URL, or as Base64.

Names are searched for first; what follows one is then matched at that place alone, and every
repeat is bounded, so time is linear on any text.
"""

import base64
import re
from collections.abc import Iterator

from bedrock_sluice.transforms.privacy import detectors
from bedrock_sluice.transforms.privacy.detectors import (
    LINE,
    Detector,
    Finding,
    is_after,
    word_starts,
)

KIND = "password"

# --- after a name --------------------------------------------------------------------------------

_STEMS = (
    *("pass", "Pass", "PASS", "pwd", "Pwd", "PWD", "pw", "Pw", "PW", "kennwort", "Kennwort"),
    *("wachtwoord", "Wachtwoord", "senha", "Senha", "contrase", "Contrase"),
)
"""How names begin."""
# What stands between a name and its value: `: `, ` = `, `": "`, `'] = `, `">`, `' => `, and the
# forms of lists of variables (Kubernetes, ECS) and of Terraform.
ASSIGNED = (
    r"""["'`]{0,4}\]?[ \t]{0,16}+(?P<sign>=>|:=|=(?!=)|:(?!:)|>)[>*]{0,2}[ \t]{0,16}+"""
    r"""|["'`]{0,4}(?P<apart>[ \t]{0,16}+,?\s{0,24}+["'`]{0,4}value["'`]{0,4}[ \t]{0,4}[:=]"""
    r"""|[ \t]{0,4}\{[^{}]{0,120}?default[ \t]{0,16}=)[ \t]{0,16}+"""
)
_PASSWORD = re.compile(
    rf"""(?P<name>(?i:pass(?:word|wd|phrase|code|wort|e)?|pwd|pw|kennwort|wachtwoord|senha
            |contrase(?:ñ|n)a))[0-9]?(?=[\s"'`:=>|,\]{{])
        (?:(?:{ASSIGNED})
          |(?P<said>[ ](?:is|was|ist|lautet|es|est|é|è)(?:[ ](?:still|now|currently|just))?:?[ ]
            |[ ]{{0,16}}+[|][ ]{{0,16}}+)
          |(?P<comma>["'][ ]?,[ ]?(?=["']))
          |(?P<option>(?<=--password)[ ]|(?<=--passphrase)[ ])(?!-)|(?P<blank>[ ]))
        (?:["'`]+(?P<quoted>[^\s"'`]{{3,128}}+)["'`]
          |["']+(?P<phrase>[^"'`\n]{{8,128}}+)["']
          |(?P<bare>(?:[^\s"'`<>,;&]|[,&](?![\w.-]{{0,40}}+=|\s|["'`]|\Z)){{3,128}}+))""",
    re.VERBOSE,
)
_WHOLE_NAMES = frozenset({"pass", "pw", "passe"})
"""They are parts of other words, so nothing but a sign or a hump may stand before."""

_STAND_IN = re.compile(
    r"""[*•x.\-_\#…?]+ | [}\])].* | --?[a-z].* | [<$%\{\[(].* | \#\{.* | .*[(\[{].* | \w+://.*
        | [.~]?/.* | ![A-Za-z]+ | [:@][A-Za-z_]+ | (?:your|enter|insert|replace)[-_ ].* | your.*
        | .*\|(?:min|max|string)\b.*
        | (?:your|my|the|new|old|some)[-_ ]?(?:pass|pwd|pw).*
        | (?:\w*_)?(?:pass(?:word|wd|phrase|code|wort)?|pwd|pw)s?_?
        | (?:sha|md5|base|utf|aes|rsa|bcrypt|scrypt|argon|pbkdf|rfc|iso)-?[0-9].*
        | \w*(?:_here|placeholder) | change[-_]?(?:me|it) | str(?:ing)? | text | hidden | secret
        | none | null | nil | true | false | undefined | optional | required.* | redacted | masked
        | example | invalid | incorrect | wrong | missing | expired | failed | forgotten | unknown
        | empty | unset | blank | encrypted | hashed | hash | protected | reset | changed | updated
        | disabled | enabled | default | confidential | sensitive | secure | omitted | removed
        | user | bytes | input | varchar | char | object | boolean | number | integer | value
        | contraseña | contrasena | kennwort | wachtwoord | senha | obligatoire | vergessen
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What stands where a password would: stars, a variable, a path, a type, a word of a form."""
_NAME = re.compile(
    r"[A-Za-z_]\w*(?:(?:\.|->|::)[A-Za-z_]\w*)+;?|[A-Za-z]+(?:_\w+)+|[a-z]+(?:[A-Z][a-z]+)+[0-9]?"
)
_NUMBER = re.compile(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?")
_TECHNICAL = re.compile(r"(?i:v)-?[0-9].*|[0-9]+-?[a-z]+|[a-z]+-[a-z]+")
_MIN_BARE = 6  # chars
_MIN_SET = 4  # where it can be nothing else
_SIGNS = re.compile(r"[!@#$%^*?+~=&]")


def find_named_passwords(text: str) -> Iterator[Finding]:
    """What is set or said to be a password; without quotes or a setting it must look like one."""
    end = 0
    for start in word_starts(text, _STEMS):
        match = _PASSWORD.match(text, start) if start >= end else None
        if match and _is_name(match):
            end = match.end()
            if span := _span(match):
                yield Finding(KIND, *span)


_DEFINE = re.compile(r"""define\(["'][\w.]{0,40}\Z""")


def _is_name(match: re.Match[str]) -> bool:
    name, before = match["name"], match.string[max(0, match.start() - 1) : match.start()]
    if match["comma"] and before != "." and not is_after(_DEFINE, match):
        return False
    if name.lower() not in _WHOLE_NAMES:
        return True
    return not before.isalpha() or (before.islower() and name[0].isupper())


def _span(match: re.Match[str]) -> tuple[int, int] | None:
    if value := match["quoted"]:
        is_likely = not match["blank"] or _looks_random(value, is_said=True)
        return match.span("quoted") if is_likely and _is_set(value) else None
    if value := match["phrase"]:
        is_variable = match["name"].isupper() and match["sign"] == "=" and _is_set(value)
        is_likely = is_variable or (match["name"].lower() == "passphrase" and _is_set(value))
        return match.span("phrase") if is_likely and not match["blank"] else None
    value = match["bare"].rstrip(".:)]}")
    if not _is_set(value) or _NAME.fullmatch(value):
        return None
    if match["sign"] == ">" and not match.string.startswith("</", match.end()):
        return None
    if match["blank"] and not (re.search("[0-9]", value) and _SIGNS.search(value[:-1])):
        return None
    is_accepted = _looks_random(value, is_said=bool(match["said"] or match["blank"])) or (
        len(value) >= _MIN_SET and _is_setting(match, value)
    )
    return (match.start("bare"), match.start("bare") + len(value)) if is_accepted else None


def _is_set(value: str) -> bool:
    return _STAND_IN.fullmatch(value) is None


def _looks_random(value: str, *, is_said: bool) -> bool:
    """Whether it has letters, and digits or signs, and is not a term."""
    has_both = re.search(r"[^\W\d_]", value) and (
        re.search(r"[0-9=]", value) or _SIGNS.search(value[:-1])
    )
    is_term = _NUMBER.fullmatch(value) or (is_said and _TECHNICAL.fullmatch(value))
    return len(value) >= _MIN_BARE and bool(has_both) and not is_term


_KEY_OF_LINE = re.compile(r"[ \t]*+(?:[-#>*][ \t]++)?(?:export[ ])?(?P<key>[\w .\-]{0,60})")


def _is_setting(match: re.Match[str], value: str) -> bool:
    """Whether an ordinary word can only be the value: of a variable, a property, or an element."""
    text, sign = match.string, match["sign"]
    if match["option"]:
        return True
    rest = text[match.start("bare") + len(value) : match.end() + 64]
    if sign == "=" and match.start("bare") == match.start("sign") + 1:
        is_property = text[max(0, match.start() - 1) : match.start()] == "."
        return match["name"].isupper() or is_property or rest.startswith(";")
    if sign == ">":
        return True
    if sign != ":" or match["name"].lower() in _WHOLE_NAMES or re.search(r"[a-z][A-Z]", value):
        return False
    line = text[text.rfind("\n", max(0, match.start() - 64), match.start()) + 1 : match.start()]
    is_line = _KEY_OF_LINE.fullmatch(line) and re.match(r"[ \t]*+(?:\r?\n|\Z)", rest)
    return len(value) >= _MIN_BARE and bool(is_line) and not re.match(r"\s*+[})\]]", rest)


# --- on a command line ---------------------------------------------------------------------------

_WORD = r"""["']?(?P<value>[^\s"'`;|<>$]{4,128}+)"""
_ARGUMENTS = "[^\n|;]{0,200}+"
_COMMANDS = tuple(
    (hint, re.compile(command), re.compile(argument))
    for hint, command, argument in (
        ("sshpass", f"sshpass {_ARGUMENTS}", rf"-p ?{_WORD}"),
        ("mysql", rf"mysql\w{{0,12}} {_ARGUMENTS}", rf" -p{_WORD}"),
        ("curl", f"curl {_ARGUMENTS}", rf" (?:-u|--user)[ =]?[\"']?[^\s:\"'$]{{1,64}}+:{_WORD}"),
        ("mariadb", rf"mariadb\S{{0,12}}+ {_ARGUMENTS}", rf" -p{_WORD}"),
        ("ldap", rf"ldap\w{{2,10}} {_ARGUMENTS}", rf" -w {_WORD}"),
        ("unzip", f"unzip {_ARGUMENTS}", rf" -P {_WORD}"),
        ("redis-cli", f"redis-cli {_ARGUMENTS}", rf"-a {_WORD}"),
        ("docker login", f"docker login {_ARGUMENTS}", rf" -p {_WORD}"),
        ("smbclient", f"smbclient {_ARGUMENTS}", rf" -U [\w.\\]{{1,64}}+%{_WORD}"),
        ("htpasswd -", rf"htpasswd -\w{{0,8}}+ {_ARGUMENTS}", rf" [^\s-]\S{{0,64}}+ {_WORD}"),
        ("SecureString ", f"SecureString {_ARGUMENTS}", rf"String (?:-String )?{_WORD}"),
        ("IDENTIFIED BY ", f"IDENTIFIED BY {_ARGUMENTS}", rf"BY {_WORD}"),
        ("login ", rf"login \S{{1,64}}+\s{{1,16}}+{_ARGUMENTS}", rf"\spassword {_WORD}"),
        (":5432:", f":5432:{_ARGUMENTS}", rf"2:[\w*-]{{1,64}}+:[\w*-]{{1,64}}+:{_WORD}"),
        ("-pass", f"-pass{_ARGUMENTS}", rf"(?:in|out|ss) pass:{_WORD}"),
        ("echo ", r"echo [^\n|;]{0,200}+[|] {0,4}+sudo -S", rf"echo {_WORD}"),
    )
)
"""A hint, a command with its arguments, and the argument that is a password."""


def find_command_passwords(text: str) -> Iterator[Finding]:
    """Passwords in the arguments of well-known commands."""
    for hint, command, argument in _COMMANDS:
        if hint in text:
            for whole in command.finditer(text):
                for match in argument.finditer(text, *whole.span()):
                    if _is_set(match["value"]):
                        yield Finding(KIND, *match.span("value"))


# --- in a URL, and as Base64 ---------------------------------------------------------------------

# A password should be percent-encoded here, and often is not; digits after the colon are a port.
_IN_URL = re.compile(
    r""":/{2,8}[^\s:/?#@"'<>]{0,64}+:(?![0-9]{1,5}[/?#])(?P<value>[^\s/"'<>]{3,128})@(?=[\w\[])"""
)
_BASIC = re.compile(
    r"""(?:[Bb]asic|BASIC|(?<=")auth"{1,2}:)[ ]{0,4}+"{0,2}(?P<value>[A-Za-z0-9+/]{8,512}+={0,2})"""
)


def find_url_passwords(text: str) -> Iterator[Finding]:
    """The password before the host of a URL."""
    if "://" in text and "@" in text:
        for match in _IN_URL.finditer(text):
            if _is_set(match["value"]):
                yield Finding(KIND, *match.span("value"))


def find_basic_passwords(text: str) -> Iterator[Finding]:
    """`user:password` in Base64, after `Basic` or as the `auth` of a registry."""
    if not any(hint in text for hint in ("asic ", "ASIC ", '"auth"')):
        return
    for match in _BASIC.finditer(text):
        try:
            plain = base64.b64decode(match["value"], validate=True).decode()
        except ValueError:
            continue
        if ":" in plain and plain.isprintable():
            yield Finding(KIND, *match.span("value"))


_LIKELY = r"""(?:["'`\\]|[^\s"'`<>;]*[0-9=!@#$%^*?+~&])"""  # quotes, or not only letters
_BASE64 = r"[A-Za-z0-9+/\\]{8}"

DETECTORS = (
    Detector(
        find_named_passwords,
        rf"(?:{'|'.join(_STEMS)})(?i:word|wd|phrase|code|wort|e|[ñn]a)?[0-9]?"
        rf"(?:{detectors.ASSIGNED}[^\s]|[\"'\\]+ ?, ?[\"'\\]| *\| *{_LIKELY}| {_LIKELY}"
        rf"| (?:is|was|ist|lautet|es|est|é|è)(?: (?:still|now|currently|just))?:? {_LIKELY})"
        r"|--pass(?:word|phrase) [^\s]",
    ),
    Detector(
        find_command_passwords,
        rf"(?:sshpass|mysql[^ ]*|mariadb[^ ]*|docker login) {LINE}-p|curl {LINE}-(?:u|-user)"
        rf"|ldap[^ ]* {LINE}-w |unzip {LINE}-P |redis-cli {LINE}-a |smbclient {LINE}-U "
        rf"|htpasswd -|SecureString |IDENTIFIED BY |(?s:login .*password )|:5432:|-pass{LINE} pass:"
        rf"|echo {LINE}\| *sudo -S",
    ),
    Detector(find_url_passwords, r""":[/\\]{2,}[^\s:/?#@"'<>]*:[^\s/"'<>]{3,}@"""),
    Detector(
        find_basic_passwords,
        rf"""(?:[Bb]asic|BASIC)[ "\\]*{_BASE64}|auth["\\]+:[ "\\]*{_BASE64}""",
    ),
)
