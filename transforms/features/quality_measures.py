"""What text holds that it should not: placeholders, characters that no reader sees, refusals.

Patterns are Rust's, whose matching is linear in the text. Each measure first asks a cheap question
of all texts, and looks closely at the few that it cannot rule out.
"""

import polars as pl

MAX_REFUSAL_CHARS = 800  # of a response; a longer one says more than no
_REFUSAL_HEAD_CHARS = 400

# Placeholders: what a template holds where a value should be.
# `{{name}}`, `{{ user.name | upper }}`, `{{#each items}}`, `{{{body}}}`; `{% if x %}`;
# `${customer}`; `{customer_name}`, `{customerName}`, and `{question}` and the like by name;
# `<INSERT TEXT>`, `<your-key>`; `[YOUR NAME]`. In capitals, `${HOME}` is a shell's, and `{NAME}` is
# how guardrails mask personal data.
_SLOTS = (
    "name|question|context|input|query|topic|text|document|documents|content|customer|company|"
    "product|language|title|subject|email|date|city|country|history|instructions|passage|"
    "article|message|username|transcript|summary|prompt"
)
_IDENTIFIER = r"[\p{L}_][\p{L}\p{N}_]+"
_PATH = rf"{_IDENTIFIER}(?:[.-][\p{{L}}\p{{N}}_]+)*"
_FORMS = (
    rf"(?:^|[^\\$^={{])\{{\{{\{{?\s*(?:[#/>^&]\s*)?(?:(?:each|if|unless|with) )?{_PATH}"
    r"(?:\s*\|\s*\w+(?:\([^(){}]*\))?)*\s*\}\}",
    r"\{%[-+]?\s*(?:if|elif|else|endif|for|endfor|set|include|block|endblock|extends|macro|"
    r"endmacro|unless|endunless|case|when|assign)\b[^{}%]*%\}",
    r"\$\{\s*[a-z][A-Za-z0-9_]{2,}(?:\.[A-Za-z0-9_]+)*\s*\}",
    rf"(?:^|[^\\0-9A-Za-z_${{}}^#%@&/=~])\{{(?:[a-z][a-z0-9]*(?:_[a-z0-9]+)+|[a-z]+[A-Z]\w*|"
    rf"(?:{_SLOTS}))\}}",
    r"(?:^|[^\w<])<(?i:insert|your)(?:[ _-][A-Za-z'/]+){1,4}>",
    r"(?:^|[^\w\]])\[(?i:insert|your)(?:[ _-][A-Za-z'/]+){1,4}\](?:[^(\[]|$)",
)
_PLACEHOLDER = "|".join(_FORMS)
_MAY_HOLD_ONE = r"\{\{|\{%|\$\{|\{[a-z]\w+\}|[<\[](?i:insert|your)[ _-]"

_ELEMENTS = (
    "html|head|body|div|span|p|a|b|i|ul|ol|li|table|tr|td|th|h[1-6]|button|form|label|img|br|"
    "template|section|main|nav|header|footer|strong|em|option|select|component|slot"
)
_CODE = (
    r"(?s)```.*?(?:```|\z)|~~~.*?(?:~~~|\z)",
    r"(?is)<(?:code|pre|script|style)\b.*?(?:</(?:code|pre|script|style)>|\z)",
    r"`[^`\n]*`",
)
_CODE_LINE = (
    r"(?m)^.*(?:[;{]\s*$|=>|[=!:]=|&&|\|\||->|\s=\s|=\{|\bf[\"']|\$\(|\w\((?:f?[\"']|\))|"
    r"^\s*(?:[\])}]|//)|\b(?:def|function|fn|func) \w+\(|\b(?:const|var|echo|curl|sudo) |"
    rf"\bexport \w+=|</?(?:{_ELEMENTS})\b[^<>]*>).*$"
)
_FORMULA = (
    r"(?s)\$\$.*?(?:\$\$|\z)|\\\[.*?(?:\\\]|\z)|\\\(.*?(?:\\\)|\z)",
    r"\$[^\s${](?:[^$\n]*[^\s$])?\$",
    r"\\[A-Za-z]+\*?(?:\s*\{+[^{}]*\}+)+",
)

# Characters that no reader sees: Unicode's default ignorables, and annotation marks.
_BIDI = r"[\x{202A}-\x{202E}\x{2066}-\x{2069}]"
_HIDDEN = (
    r"[\x{AD}\x{34F}\x{61C}\x{115F}\x{1160}\x{17B4}\x{17B5}\x{180B}-\x{180F}\x{200B}-\x{200F}"
    r"\x{202A}-\x{202E}\x{2060}-\x{206F}\x{3164}\x{FE00}-\x{FE0F}\x{FEFF}\x{FFA0}"
    r"\x{FFF9}-\x{FFFB}\x{1BCA0}-\x{1BCA3}\x{1D173}-\x{1D17A}\x{E0000}-\x{E0FFF}]"
)
_EMOJI = r"[\p{Extended_Pictographic}\x{1F3FB}-\x{1F3FF}][\x{FE0E}\x{FE0F}]?"
_JOINING_SCRIPTS = (
    r"\p{scx=Arabic}\p{scx=Syriac}\p{Nko}\p{Devanagari}\p{Bengali}\p{Gurmukhi}\p{Gujarati}"
    r"\p{Oriya}\p{Tamil}\p{Telugu}\p{Kannada}\p{Malayalam}\p{Sinhala}\p{Khmer}\p{Myanmar}\p{Tibetan}"
)
_NEEDED = (
    r"\x{1F3F4}\x{E0067}\x{E0062}(?:\x{E0065}\x{E006E}\x{E0067}|\x{E0073}\x{E0063}\x{E0074}"
    r"|\x{E0077}\x{E006C}\x{E0073})\x{E007F}",  # the flags of England, Scotland and Wales
    rf"{_EMOJI}(?:\x{{200D}}{_EMOJI})*",
    r"[\p{S}0-9#*][\x{FE0E}\x{FE0F}]",
    r"\p{Han}[\x{FE00}-\x{FE02}\x{E0100}-\x{E01EF}]",
    rf"[{_JOINING_SCRIPTS}][\x{{200C}}\x{{200D}}]",
    r"\p{Mongolian}[\x{180B}-\x{180F}\x{200C}\x{200D}]",
    r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]\x{200B}",  # where a line may break
)
_RIGHT_TO_LEFT = r"[\p{Arabic}\p{Hebrew}\p{Syriac}\p{Thaana}\p{Nko}]"
_DIRECTION_MARK = r"[\x{61C}\x{200E}\x{200F}]"

# Refusals, in lower case and with straight apostrophes. An opening may be said, then it must
# come: that the speaker will not, and what is asked, so that "I can't find x" is none.
_SORRY = (
    r"(?:i(?:'m| am) )?(?:so |very |really |truly )?(?:sorry|afraid)(?: that)?",
    r"i (?:do |sincerely )?apologi[sz]e|(?:my |sincere )*apolog(?:y|ies)",
    r"unfortunately|no|oh|well",
    r"i(?:'m| am) (?:programmed|designed) to [^.!?\n]{0,100}[.,]",
    r"(?:i (?:understand|appreciate|see|hear|know|aim|try|want|wish)|thank you|thanks)"
    r"[^.!?\n]{0,120}?\bbut",
)
_AS_AI = (
    r"as an? (?:[a-z-]+ )?(?:ai(?: language)?|language)(?: (?:model|assistant|system|chatbot))?"
    r"(?: (?:developed|created|made|trained|designed|built)[^,.\n]{0,60})?,? "
)
_OPENING = rf"(?:(?:{'|'.join(_SORRY)})[\s,.;:!–—-]*(?:but |however,? )?)*"
_CANNOT = (
    r"i(?: really| simply| just)?(?:(?:'m| am) (?:unable|not able|not allowed|not permitted|not "
    r"going|not willing|unwilling) to| can't| cannot| can not| won't| will not)"
    r"(?: (?:and|or) (?:will not|won't))?"
    r"(?: be able to| directly| ethically| knowingly| in good conscience)? "
)
_ENDS = r"(?:[.!;:,–—]|$| because| as | since| for you)"
_HARM = (
    "illegal|explosive|bomb|weapon|malware|hack(?:ing)?\\b|phishing|hateful|hate speech|sexual|"
    "inappropriate|harmful|violen|drugs|methamphetamine|cocaine|robbery|steal|fraud|minors|suicid|"
    "self-harm|racis|sexis|discriminat|pirat|counterfeit|diagnos|defam|harass|insult|porn|"
    "copyright"
)
_ASKED = (
    r"(?:help|assist)(?: you)?(?: out)?(?: (?:with|in|on|by|to|further|here|there)\b|[.!,;:–—]|$)",
    r"help(?: you)?(?: to)? (?:create|write|make|plan|do|generate|build|draft|commit|cheat)\b",
    r"(?:continue (?:with )?(?:this|that) (?:conversation|discussion|topic)|"
    r"role-?play (?:as|in|with)|share my (?:system prompt|instructions))\b",
    r"(?:comply with|fulfill?|accommodate|engage (?:in|with)|participate in|take part in)\b",
    r"(?:do|answer|respond to|complete|process|discuss|provide|generate|create|write|produce|share|"
    r"give|offer|support|disclose|reveal|tell|promote|facilitate|draft|talk about)"
    r"(?: you)?(?: with)? (?:that|this|such|those|these)(?: (?:kind|type|sort) of)?"
    r"(?: (?:request|question|content|task|information|topic|data|story|text|message|image|"
    r"email|essay|poem|song|joke|code|scene|character)s?)?"
    rf"{_ENDS}",
    r"(?:provide|give|offer|share|generate|create|write|produce|make|draft|discuss|disclose|"
    r"reveal|promote|support)(?: you)?(?: (?:with|any|such|specific|detailed|personal|explicit|the|"
    r"that|this|kind|type|of|sexual|sexually|hateful|harmful|violent|offensive|medical|legal|"
    r"financial|illegal|discriminatory|step-by-step))* (?:instructions?|guidance|information|"
    r"content|advice|assistance|help|malware|exploits?|weapons?|hate speech|system prompt|"
    r"passwords?)\b",
    r"(?:help|assist|provide|give|tell|teach|show|write|create|generate|produce|recommend|support|"
    rf"promote|share|offer|discuss|explain|describe|plan|reproduce|quote)\b[^.!?\n]{{0,80}}?\b(?:{_HARM})",
)
_ACTS = "writ|help|assist|answer|discuss|creat|provid|generat|produc|engag|participat|shar"
_DECLINING = (
    r"i(?:'ll| will| must| have to| need to|'m going to| am going to| respectfully| politely)+"
    r"(?: have to)?(?: respectfully| politely)* decline(?: to|[.,!]|$| (?:this|that|your|the) "
    r"(?:one|request))",
    r"i must (?:respectfully |politely )?refuse(?: to\b|[.,!]|$| (?:this|that|your) )",
    rf"i refuse to (?:{_ACTS})",
    r"i (?:don't|do not) assist with\b",
    rf"i (?:won't|will not) be (?:{_ACTS})(?:e|t)?ing (?:that|this|such|any)\b",
    rf"i(?:'m| am) not comfortable (?:(?:{_ACTS})|with (?:that|this|your))",
    rf"i (?:don't|do not) feel comfortable (?:(?:{_ACTS})|with (?:that|this|your))",
    rf"i(?:'d| would) (?:rather not|prefer not to) (?:{_ACTS})",
    r"(?:that|this)(?:'s not| is not| isn't) something (?:that )?i"
    rf"(?:'m able to| can| will| am able to) (?:do|{_ACTS})",
    r"it(?:'s| is| would be| would not be| wouldn't be) (?:not )?(?:in)?(?:appropriate|unethical|"
    r"ethical|illegal|irresponsible) for me to "
    rf"(?:do|{_ACTS})",
    r"(?:(?:this|that|your|the) (?:request|question|prompt|topic) (?:goes against|violates|is "
    r"against)|(?:that|this) goes against|(?:it's|that's|it is|that is|it goes) against) "
    r"(?:my|our) (?:guidelines|polic|programming|principles|content|usage|safety)",
)
_BY_THE_SERVICE = (
    r"(?:sorry\W+(?:but )?)?(?:this|the) model (?:is unable to|cannot|can't) (?:respond to|answer) "
    r"(?:this|your)",
    r"the generated text has been blocked by our content filters",
)
_BUT_ANSWERS = (
    r"[^.!?\n]*\b(?:without (?:more|the|any|additional|further|knowing|seeing)|but (?:here|the |it "
    r"|it's|my best|let|about|roughly|approximately|around|in short)|"
    r"sans (?:plus|autre|savoir)|ohne (?:mehr|weitere)|sin (?:más|saber)|senza (?:altr|saper))"
)
_ANYTHING_ELSE = r"(?:[^,.!?\n]|,[^.!?\n]{0,3}$)*(?:[.!?\n]|$|, (?:as|because|since|so)\b)"
_TO = r"[\s,.;:!–—-]*"
_OTHER_TONGUES = (
    # French
    r"(?:(?:(?:je suis (?:vraiment |sincèrement )?)?(?:désolée?|navrée?)|je regrette)"
    rf"{_TO}(?:mais )?|malheureusement{_TO}|en tant qu[e'][^.\n]{{0,50}}?, )*"
    r"je ne (?:peux|suis) pas (?:en mesure de |capable de )?"
    r"(?:(?:vous |t'|te )?(?:aider|assister)\b|(?:vous |te )?"
    r"(?:répondre|fournir|donner|générer|créer|écrire|satisfaire|partager|discuter) (?:à |de )?"
    r"(?:cette|ce|ces|cela|ça|votre|ta|de tel|d'avis|d'informations?|d'instructions|de conseils?|"
    r"de contenu))",
    # Spanish
    rf"(?:(?:lo siento(?: mucho)?|lo lamento|lamentablemente|disculp[ae]){_TO}(?:pero )?|"
    r"como [^.\n]{0,40}?, )*no (?:puedo|soy capaz de) "
    r"(?:ayudar(?:te|le|les|los)?\b|asistir(?:te|le)?\b|cumplir con|"
    r"(?:responder|proporcionar|dar|generar|crear|escribir|compartir)(?:te|le)? (?:a )?"
    r"(?:es[aeo]|est[aeo]|tu|su|consejos?|información|instrucciones|contenido)\b)",
    # German
    rf"(?:(?:(?:es )?tut mir (?:sehr )?leid|entschuldigung|leider){_TO}(?:aber )?|"
    r"als ki[^.\n]{0,40}? )*(?:dabei |damit |hierbei )?(?:ich kann|kann ich) (?:"
    r"(?:[^\s.,!?]+ ){0,6}?(?:nicht|keine?) (?:[^\s.,!?]+ ){0,4}?"
    r"(?:helfen|weiterhelfen|unterstützen|behilflich sein)\b|"
    r"(?:leider )?(?:diese|ihre|deine) (?:anfrage|frage|bitte) (?:leider )?nicht "
    r"(?:beantworten|erfüllen|bearbeiten))",
    # Italian
    rf"(?:(?:mi dispiace|spiacente|purtroppo){_TO}(?:ma )?|come [^.\n]{{0,40}}?, )*"
    r"non (?:posso|sono in grado di) (?:aiutar(?:e|ti|la|vi)\b|assister(?:e|ti|la)\b|"
    r"(?:rispondere|fornir[ei]|generare|creare|scrivere)(?:ti|le)? (?:a )?"
    r"(?:quest|consigli|informazioni|istruzioni|contenut))",
    # Portuguese
    rf"(?:(?:desculp[ae]|sinto muito|lamento|infelizmente){_TO}(?:mas )?|como [^.\n]{{0,40}}?, )*"
    r"(?:eu )?não (?:posso|consigo) (?:(?:te |lhe )?(?:ajudar|auxiliar)\b|ajudá|"
    r"(?:responder|fornecer|gerar|criar|escrever) (?:a |à )?"
    r"(?:ess|est[ae]|isso|conselho|informaç|instruç|conteúdo))",
    # Dutch
    rf"(?:(?:het spijt me|sorry|helaas){_TO}(?:maar )?)*(?:ik kan|kan ik) "
    r"(?:[^\s.,!?]+ ){0,5}?(?:niet|geen) (?:[^\s.,!?]+ ){0,4}?(?:helpen|assisteren)\b",
    # Russian
    rf"(?:(?:извините|простите|к сожалению|мне (?:очень )?жаль){_TO}(?:но )?)*"
    r"(?:как [^.\n]{0,40}?, )?я не могу (?:вам |тебе )?(?:с этим )?(?:помочь|помогать|"
    r"(?:выполнить|ответить на) (?:этот|эту|ваш|вашу|твой)|"
    r"предоставить (?:эт|так|информацию|инструкции))",
    # Chinese
    r"(?:(?:作为|作為)[^，,。\n]{0,20}|(?:非常|很)?抱歉|对不起|對不起|不好意思)[，,。!！ ]*"
    r"(?:但是?|不过)?我?(?:无法|無法|不能|没办法)(?:继续|(?:为|為|给|給|向|帮|幫)[您你])*"
    r"(?:提供|帮助|幫助|协助|協助|回答|满足|滿足|生成|讨论|討論|创作|编写)",
    # Japanese
    r"(?:大変)?(?:申し訳|すみません|恐れ入り)[^。\n]{0,80}"
    r"(?:手伝い|お答え|提供|対応|お応え|支援|協力|回答|作成)[^。\n]{0,12}"
    r"(?:できません|できかね|致しかね|いたしかね)",
    # Korean
    r"(?:죄송|미안)[^.\n]{0,80}(?:도와|도움|제공|답변|응답|지원|협조|작성)[^.\n]{0,12}"
    r"(?:수 없|어렵|불가)",
)
_REFUSES = (
    rf"{_OPENING}(?:{_AS_AI})?{_OPENING}{_CANNOT}(?:{'|'.join(_ASKED)})",
    rf"{_OPENING}(?:{_AS_AI})?(?:{'|'.join(_DECLINING)})",
    *_BY_THE_SERVICE,
    *_OTHER_TONGUES,
)
_REFUSAL = f"^(?:{'|'.join(_REFUSES)})"
_AI_CANNOT = rf"^{_OPENING}{_AS_AI}{_OPENING}{_CANNOT}{_ANYTHING_ELSE}"


def placeholders(text: pl.Expr) -> pl.Expr:
    """Placeholders that were never filled in, as u32; in code and formulas they are none.

    Code is what is fenced, quoted by backticks, or stands in a line that reads like code.
    """
    prose = without_code(_where(text, text.str.contains(_MAY_HOLD_ONE)))
    for pattern in (_CODE_LINE, *_FORMULA):
        prose = prose.str.replace_all(pattern, " ")
    return _count(prose, _PLACEHOLDER, of=text)


def without_code(text: pl.Expr) -> pl.Expr:
    """The text without what is marked as code: fences, elements of HTML, backticks."""
    for pattern in _CODE:
        text = text.str.replace_all(pattern, " ")
    return text


def hidden_characters(text: pl.Expr) -> pl.Expr:
    """Characters that no reader sees, as u32, but for those that emoji and scripts need.

    Needed are: a joiner between emoji, or after a letter of a script that joins; one variation
    selector after what varies; a space of no width in scripts that set none; and marks of direction
    in a text with letters that run from right to left.
    """
    visible = _where(text, text.str.contains(_HIDDEN)).str.replace_all("|".join(_NEEDED), "")
    has_rtl = text.str.contains(_RIGHT_TO_LEFT)
    visible = pl.when(has_rtl).then(visible.str.replace_all(_DIRECTION_MARK, "")).otherwise(visible)
    return _count(visible, _HIDDEN, of=text)


def bidi_characters(text: pl.Expr) -> pl.Expr:
    """Characters that reorder the text around them, as u32: embeddings, overrides, isolates."""
    return text.str.count_matches(_BIDI)


def is_refusal(response: pl.Expr) -> pl.Expr:
    """Whether a response is short and begins by refusing; null refuses nothing."""
    is_short = response.str.len_bytes() <= 4 * MAX_REFUSAL_CHARS
    head = (
        _where(response, is_short & (response.str.len_chars() <= MAX_REFUSAL_CHARS))
        .str.strip_chars_start("*_# \t\n")
        .str.head(_REFUSAL_HEAD_CHARS)
        .str.to_lowercase()
        .str.replace_all("’", "'", literal=True)
    )
    refuses = head.str.contains(_REFUSAL) & ~head.str.contains(_REFUSAL + _BUT_ANSWERS)
    return (refuses | head.str.contains(_AI_CANNOT)).fill_null(value=False)


def _where(text: pl.Expr, condition: pl.Expr) -> pl.Expr:
    """The text where it is worth a closer look, else null, which costs nothing."""
    return pl.when(condition).then(text)


def _count(text: pl.Expr, pattern: str, *, of: pl.Expr) -> pl.Expr:
    """Matches in what was looked at closely; none in the rest, null where there was no text."""
    return pl.when(of.is_not_null()).then(text.str.count_matches(pattern).fill_null(0))
