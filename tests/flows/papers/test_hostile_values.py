"""Values of the logs cannot become markup, links, HTML, table cells or keys of the front matter."""

from dataclasses import replace

import msgspec
import pytest
import yaml
from markdown_it import MarkdownIt

from bedrock_sluice.flows.papers.facts import PaperFacts
from bedrock_sluice.flows.papers.papers import render_papers
from bedrock_sluice.flows.recipe.papers_section import PapersSection
from bedrock_sluice.transforms.facts.release_facts import UnknownShape

PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a\n---\nlicense: mit\n---\n# owned",
    "| a | b |\n| - | - |",
    "x | y",
    "`` ` ```",
    "```\nowned\n```",
    "[a](https://evil.example)",
    "![a](https://evil.example/x.png)",
    "https://evil.example www.evil.example",
    "<https://evil.example>",
    "# heading",
    "- item",
    "1. item",
    "=== ",
    "*bold* _it_ ~~gone~~ $x$ &lt;",
    "\x1b[31mred\x1b[0m \u202etxt\u200b",
    '\'; drop: [yes] # "quoted" \\',
    "{{ 7 * 7 }} {% raw %}",
    "x" * 5_000,
    "",
]
ACTIVE = {"html_block", "html_inline", "link_open", "image", "hr", "fence", "code_block"}
ACTIVE |= {
    "bullet_list_open",
    "heading_open",
    "ordered_list_open",
    "table_open",
    "tr_open",
    "td_open",
}
ACTIVE |= {"blockquote_open", "strong_open", "em_open", "s_open"}


def active_tokens(markdown: str) -> list[str]:
    """The kinds of the tokens that text must not be able to add, in order."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tokens = [each for token in parser.parse(markdown) for each in (token, *(token.children or ()))]
    return [token.type for token in tokens if token.type in ACTIVE]


def papers_with(facts: PaperFacts, value: str) -> dict[str, bytes]:
    """Papers in which a value stands wherever the logs or the recipe can put one."""
    manifest = msgspec.structs.replace(
        facts.manifest,
        unknown_shapes=[UnknownShape(value, 3)],
        versions={value: value},
        answers=msgspec.structs.replace(facts.manifest.answers, lines_by_source={value: 7}),
        counts=msgspec.structs.replace(facts.manifest.counts, dropped={value: 5}),
    )
    recipe = facts.recipe
    sections = {
        "select": recipe.select.model_copy(update={"models": (value,), "operations": (value,)}),
        "split": recipe.split.model_copy(update={"strata": (value,), "group_by": (value,)}),
        "template": recipe.template.model_copy(update={"name": value}),
    }
    shape = facts.fields["id"]
    text = value or "-"
    return render_papers(
        replace(
            facts,
            manifest=manifest,
            recipe=recipe.model_copy(update=sections),
            settings=PapersSection(
                title=text, description=text, license=text, provider=text, contact=text, url=text
            ),
            models=[(value, 9)],
            fields={**facts.fields, value: shape},
        )
    )


@pytest.mark.parametrize("value", PAYLOADS, ids=range(len(PAYLOADS)))
def test_a_value_adds_no_markup(facts: PaperFacts, value: str) -> None:
    plain, hostile = papers_with(facts, "word"), papers_with(facts, value)
    for name in ("README.md", "training-data-summary.md"):
        bodies = [each[name].decode().partition("\n---\n")[2] for each in (plain, hostile)]
        if not name.startswith("README"):
            bodies = [each[name].decode() for each in (plain, hostile)]
        assert active_tokens(bodies[1]) == active_tokens(bodies[0])
    text = b"".join(hostile.values()).decode()
    assert not {"\x1b", "\u202e", "\u200b"} & set(text)


@pytest.mark.parametrize("value", PAYLOADS, ids=range(len(PAYLOADS)))
def test_a_value_adds_no_key_to_the_front_matter(facts: PaperFacts, value: str) -> None:
    text = papers_with(facts, value)["README.md"].decode()
    header = yaml.safe_load(text.removeprefix("---\n").partition("\n---\n")[0])
    assert set(header) <= {
        *("license", "license_name", "pretty_name", "size_categories", "task_categories", "tags"),
        *("configs", "dataset_info"),
    }
    names = [each["name"] for each in header["dataset_info"][0]["features"]]
    assert len(names) == len(facts.fields) + 1
    msgspec.json.decode(papers_with(facts, value)["croissant.json"])
