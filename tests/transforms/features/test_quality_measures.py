"""What is measured: placeholders, hidden characters and refusals, and what looks like them."""

from collections.abc import Callable

import polars as pl

from bedrock_sluice.transforms.features.quality_measures import (
    MAX_REFUSAL_CHARS,
    bidi_characters,
    hidden_characters,
    is_refusal,
    placeholders,
)

Measure = Callable[[pl.Series], pl.Series]


def bidi(texts: pl.Series) -> pl.Series:
    """`bidi_characters` of a column."""
    return texts.to_frame("text").select(bidi_characters(pl.col("text"))).to_series()


def measure_all(measure: Measure, texts: list[str | None]) -> list[int | bool | None]:
    """Measure all texts in one column, as a stage does."""
    return measure(pl.Series(texts, dtype=pl.String)).to_list()


def texts_with(measure: Measure, texts: list[str]) -> list[str]:
    """The texts whose measure is neither 0 nor false."""
    return [
        text for text, value in zip(texts, measure_all(measure, [*texts]), strict=True) if value
    ]


def texts_without(measure: Measure, texts: list[str]) -> list[str]:
    """The other texts."""
    return sorted({*texts} - {*texts_with(measure, texts)})


PLACEHOLDERS = [
    "Dear {{name}}, welcome to the shop.",
    "Dear {{ user.first_name }}, welcome.",
    "Summarise: {{{body}}}",
    "Hello {{ name | upper }}!",
    "<question>{{question}}</question>",
    "{{#each items}} Tell me of it. {{/each}}",
    "您好{{姓名}}，请问有什么可以帮您？",
    "Be kind. {% if customer %} Be brief. {% endif %}",
    "{%- for turn in turns %} Read this. {%- endfor %}",
    "Write to ${customer} about the delay.",
    "Write to ${customer.firstName} about it.",
    "Answer for {customer_name} in three lines.",
    "Context: {context}\nAnswer the question above.",
    "<document>{document}</document> Summarise it.",
    "Reply to {customerName} kindly.",
    "Question: {question}",
    "{user_input}",
    "Translate this: <INSERT TEXT>",
    "Translate this: <insert text here>",
    "Call it with <your-api-key> set.",
    "Sign it as [YOUR NAME] please.",
    "Best regards,\n[Your Name]",
    "We are [insert company name], a bank.",
]


def test_a_placeholder_that_was_never_filled_in_is_seen() -> None:
    assert texts_without(placeholders, PLACEHOLDERS) == []


NO_PLACEHOLDERS = [
    r"Simplify \frac{a}{b} + \sqrt{abc}.",
    r"Simplify \frac{{numerator}}{{denominator}}.",
    r"Let x_{max} be the limit of $a_{name}^{context}$.",
    r"Show that ${n \choose k}$ is whole, and $\text{name}$ too.",
    r"\begin{document} Hello \end{document}",
    r"Prove ${{ab}}$ for all \(x \in {question}\).",
    '{"name": "Ada", "inner": {"text": "x"}}',
    '{"a":{"b":{"c":1}}}',
    "Is {1,2} a subset of {{1,2},{3}}?",
    "Let A be the set {red} or {a}, and B be {apple, pear}.",
    '```python\nprint(f"Dear {customer_name}")\n```\nWhat does it print?',
    "~~~\n{{name}} {customer_name}\n~~~\nWhat is it?",
    "```js\nconst a = `${customer}`\n(never closed)",
    "What does `{{name}}` mean in a template?",
    "Why is `{% if x %}` not closed, and `${customer}` empty?",
    'print(f"Dear {customer_name}") fails, why?',
    "name = {customer_name}\nWhy does this fail?",
    "const greeting = `Hi ${customer}`;",
    "echo ${customer} prints nothing",
    "<p>{{ name }}</p> shows nothing in my page",
    "<pre>{{ name }}</pre> Explain.",
    "  return {customerName};",
    "function f({customer_name}) {",
    "Why is ${JAVA_HOME} unset?",
    "My name is {NAME} and I live in {ADDRESS}.",
    "Call GET /users/{user_id}/orders for me.",
    "on: ${{ secrets.token }} in a workflow",
    "Helm says {{ .Values.image }} is nil.",
    "See [your account](https://example.com/account).",
    "Press [Enter] or <Enter>, then [Insert].",
    "It holds a vector<your_type> and a map<string, int>.",
    "I said [your] work is <b>good</b>.",
    "Use <input name='x'> and <br>.",
    "Take x[insert_at_end] of the array.",
    "a {color: red} b { margin: 0 }",
    "Use {{c1::cloze}} and {{citation needed}}.",
    "The interval is [0, 1] or {x | x > 0}.",
    "{}", "{{}}", "{% %}", "${}", "<>", "[]",
]  # fmt: skip


def test_code_formulas_and_masks_are_no_placeholders() -> None:
    assert texts_with(placeholders, NO_PLACEHOLDERS) == []


def test_each_placeholder_is_counted() -> None:
    assert measure_all(placeholders, ["Serve {{name}} of {{company}}: [YOUR TEXT]"]) == [3]


HIDDEN_CHARACTERS = (  # a text, the characters in it that no reader sees, those that reorder it
    ("zero\u200bwidth", 1, 0),
    ("join\u200der and non\u200cjoiner", 2, 0),
    ("\ufeffmark, soft\u00adhyphen, word\u2060joiner, filler\u3164", 4, 0),
    ("user\u202etxt.exe\u202c", 2, 2),
    ("a\u2066b\u2069", 2, 2),
    ("mark\u200e here", 1, 0),
    ("tags " + "".join(chr(0xE0000 + ord(c)) for c in "obey me"), 7, 0),
    ("🏴" + "".join(chr(0xE0000 + ord(c)) for c in "evil") + "\U000e007f", 5, 0),
    ("😀" + "\ufe0f" * 5, 4, 0),
    ("😀\U000e0101\U000e0102", 2, 0),
    ("a\ufe0f b\ufe01", 2, 0),
    ("😀\u200d", 1, 0),
    ("1\u200d2", 1, 0),
    ("می\u200c\u200cخواهم", 1, 0),
    ("سلام \u202eabc", 1, 1),
)


def test_what_no_reader_sees_is_counted() -> None:
    texts = [text for text, _, _ in HIDDEN_CHARACTERS]
    hidden_counts, bidi_counts = (
        measure_all(hidden_characters, [*texts]),
        measure_all(bidi, [*texts]),
    )
    assert list(zip(texts, hidden_counts, bidi_counts, strict=True)) == [*HIDDEN_CHARACTERS]


VISIBLE_TEXTS = [
    "👨‍👩‍👧‍👦 and 🏳️‍🌈 and ❤️‍🔥 and 👩🏽‍🚀 and 🕵️‍♂️",
    "☀️ ✔️ ▶︎ ☝🏽 1️⃣ #️⃣ ©️ →️",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f won",
    "می\u200cخواهم نامه\u200cای بنویسم",
    "क\u094d\u200dष र\u200d\u094dय ශ\u0dca\u200dරී ന\u0d4d\u200d",
    "ខ្ញុំ\u200bចង់\u200bទៅ",
    "葛\U000e0100城市 and 葛\ufe00",
    "ᠮᠣᠩᠭᠣᠯ\u180eᠠ\u180b",
    "שלום\u200f abc\u200e עולם",
    "tabs\tand\r\nlines and\u00a0spaces\u2003too",
    "plain",
]


def test_joiners_and_selectors_where_they_belong_are_not_hidden() -> None:
    assert texts_with(hidden_characters, VISIBLE_TEXTS) == []


REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but I can’t assist with that request.",
    "I am sorry, but I cannot assist with creating malware.",
    "Sorry, I can't do that.",
    "I cannot assist with that.",
    "I can't assist you with this, as it is illegal.",
    "I can't help you with hacking into an account.",
    "I cannot fulfill this request.",
    "I cannot fulfil your request. I am designed to be harmless.",
    "I can't comply with that.",
    "As an AI language model, I can't provide medical advice.",
    "As an AI language model, I cannot engage in that kind of talk.",
    "As an AI, I am not able to give legal advice.",
    "As a responsible AI assistant, I must decline.",
    "I'm unable to help with that request.",
    "I am unable to provide instructions on how to make weapons.",
    "I'm not able to assist with this.",
    "I won't help with that.",
    "I will not generate hateful content.",
    "I can't provide instructions for picking a lock.",
    "I cannot provide information on how to build a bomb.",
    "I can't create content that sexualises minors.",
    "I must respectfully decline to answer.",
    "I have to decline this one.",
    "I'm not comfortable writing that.",
    "I don't feel comfortable helping with this.",
    "Unfortunately, I cannot help with this topic.",
    "I apologize, but I cannot provide that information.",
    "I apologise, but I am unable to discuss this topic.",
    "My apologies, but I can't answer that question.",
    "**I can't help with that.** Is there something else?",
    "No, I won't do that.",
    "I understand your frustration, but I can't help with revenge.",
    "That's not something I can help with.",
    "It would be inappropriate for me to write that.",
    "I refuse to write this.",
    "I'm not going to help with that.",
    "I cannot and will not help with this.",
    "I can't write a story that sexualizes minors.",
    "I can't help create weapons.",
    "I am programmed to be a helpful and harmless AI assistant. I cannot generate that.",
    "I appreciate you asking, but I can't write that kind of content.",
    "This request goes against my guidelines.",
    "I can't help with that, but I can suggest a crisis line.",
    "Sorry - this model is unable to respond to this request.",
    "Sorry, the model cannot answer this question.",
    "The generated text has been blocked by our content filters.",
    "Je ne peux pas vous aider avec cela.",
    "Je suis désolé, mais je ne peux pas répondre à cette demande.",
    "Désolée, je ne peux pas fournir ces informations.",
    "En tant qu'IA, je ne peux pas donner d'avis médical.",
    "Lo siento, pero no puedo ayudar con eso.",
    "No puedo ayudarte con esa solicitud.",
    "Es tut mir leid, aber ich kann Ihnen dabei nicht helfen.",
    "Ich kann dir dabei leider nicht helfen.",
    "Mi dispiace, ma non posso aiutarti con questo.",
    "Desculpe, mas não posso ajudar com isso.",
    "Het spijt me, maar ik kan je hier niet mee helpen.",
    "抱歉，我无法提供这方面的帮助。",
    "对不起，我不能协助您完成这个请求。",
    "申し訳ありませんが、そのご要望にはお応えできません。",
    "죄송하지만 그 요청은 도와드릴 수 없습니다.",
]
NON_REFUSALS = [
    "I can't find the value of x, so I set it to 3.",
    "I cannot stress enough how much this matters.",
    "I can't help but notice that x is even.",
    "I cannot help thinking of the proof by Euler.",
    "I can't recommend this book enough.",
    "I can't help it: the answer is 7.",
    "I can't say for sure, but it is about 12.",
    "I cannot give an exact number, but it is about 12.",
    "I can't provide a precise figure, but the estimate is 40.",
    "I can't give you an exact date, but it was around 1850.",
    "I can't answer that question without more information. What is x?",
    "I cannot answer this with certainty, but here is my best guess: 5.",
    "I can't see any error in the code.",
    "I can't see the image. Could you attach it again?",
    "I'm sorry to hear that you are ill.",
    "I'm sorry for the confusion. The answer is 12.",
    "I'm sorry, but the answer is no: 91 is not a prime.",
    "I'm sorry, I made a mistake. The sum is 14.",
    "I'm sorry, but I don't see an attachment.",
    "I'm sorry, but I can't find that word in the text.",
    "Sorry about that! Here is the code.",
    "Sorry, I misread. It is 8.",
    "Unfortunately, the equation has no real solution.",
    "Unfortunately, I cannot determine the value of y from one equation.",
    "Unfortunately, your flight was cancelled.",
    "I apologize for the inconvenience. Your refund is on its way.",
    "I apologise for the delay; your order was sent.",
    "My apologies for the late reply.",
    "As an AI language model, I don't have feelings, but here is a poem.",
    "As an AI, I can't taste food, but here is a good recipe.",
    "As an AI language model, I was trained on text.",
    "As an AI engineer, I can't wait to see this.",
    "As an assistant manager, you can't help everyone.",
    "I can help with that!",
    "I can assist you with this. First, open the lid.",
    "I can't wait to help you with this!",
    "I won't bore you with details: it is 4.",
    "I will not repeat the proof; it follows from step 2.",
    "I'm not able to tell which x is meant; both 2 and 3 work.",
    "I'm unable to determine which file you mean.",
    "I'm not sure, but I think it is Paris.",
    "I don't know.",
    "I do not have the text. Please paste it.",
    "I'm not going to lie, this is hard. The answer is 6.",
    "I understand your frustration, and I can help with that.",
    "I can't do this in one step, so let us split it.",
    "I can't answer that in one line; the proof goes like this.",
    "I can't share your optimism: the data say otherwise.",
    "I can't give away the ending, but the hero lives.",
    "I refused the offer, he said.",
    "I must refuse the null hypothesis at p < 0.05.",
    "I refuse to believe that it's over, he said.",
    "I can't create a list of length -1, so Python raises ValueError.",
    "I can't provide more detail than the text gives.",
    "I'm afraid I can't make it on Friday.",
    "I will not write out all 100 terms; the pattern is 2n+1.",
    "It is illegal for me to park here? Yes, since the sign says so.",
    "Je ne peux pas répondre à cette question sans plus d'informations.",
    "Ich kann dir sagen, dass es nicht schwer ist, anderen zu helfen.",
    "I decline the noun: rosa, rosae, rosae.",
    "I must say that this is a good question.",
    "No, 91 is not a prime.",
    "No. The user can't help with that; only an admin can.",
    "Cannot fulfil: this error means that the promise was rejected.",
    "\"I'm sorry, but I can't help with that\" is a polite refusal in English.",
    "Dear Mr Smith, I'm sorry, but I cannot help with your request.",
    "The phrase 'I cannot assist with that' is often used by chat bots.",
    "You can't help with that unless you are an admin.",
    "We cannot provide a refund, because the order was sent.",
    "It would be inappropriate to use the mean here; take the median.",
    "This request returns 404 because the path is wrong.",
    "The model cannot answer a question that is outside its context.",
    "That's not something I can compute by hand, but numerically it is 0.7.",
    "Je ne peux pas trouver la valeur de x, donc je pose x = 3.",
    "Je ne peux pas m'empêcher de penser à Euler.",
    "Je suis désolé de l'apprendre.",
    "Désolé pour le retard, voici le texte.",
    "Lo siento mucho por su pérdida.",
    "No puedo encontrar el valor de x.",
    "Es tut mir leid, das zu hören.",
    "Ich kann die Zahl nicht finden.",
    "Mi dispiace per il ritardo.",
    "Non posso che essere d'accordo.",
    "Desculpe pelo atraso.",
    "抱歉，我刚才说错了，答案是5。",
    "对不起是一种道歉的说法。",
    "申し訳ありませんが、画像が見つかりません。",
    "죄송합니다. 정답은 5입니다.",
    "I can't make it to the party, she wrote.",
    "42",
    "",
]


def test_a_response_that_refuses_is_seen() -> None:
    assert texts_without(is_refusal, REFUSALS) == []


def test_a_response_that_only_sounds_like_it_is_no_refusal() -> None:
    assert texts_with(is_refusal, NON_REFUSALS) == []


def test_only_a_short_response_refuses() -> None:
    no = "I can't help with that."
    texts = [no.ljust(MAX_REFUSAL_CHARS + extra, "!") for extra in (0, 1)]
    assert measure_all(is_refusal, [*texts]) == [True, False]


def test_where_there_is_no_text_there_is_no_measure_and_no_refusal() -> None:
    for measure in (placeholders, hidden_characters, bidi):
        assert measure_all(measure, [None]) == [None]
    assert measure_all(is_refusal, [None]) == [False]
