"""Word problems for the demo: stories as data, and the drawing of one with its worked answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import add, floordiv, mul, sub
from random import Random
from typing import NamedTuple

_Values = dict[str, str | int]

_OPERATIONS = {"+": add, "-": sub, "*": mul, "/": floordiv}
_MIN_RESULT = 2  # so that every number can stand before a plural


class StageRunner(NamedTuple):
    """One line of a solution: `says: formula = result.`"""

    message: str
    formula: str
    result: int

    @property
    def text(self) -> str:
        """The line as it is written."""
        return f"{self.message}: {self.formula} = {self.result}."


class Problem(NamedTuple):
    """A question, and its solution; the answer is the result of the last step."""

    question: str
    steps: tuple[StageRunner, ...]

    @property
    def answer(self) -> int:
        """The number that is asked for."""
        return self.steps[-1].result


@dataclass(frozen=True)
class Story:
    """A problem with blanks: `words` and `numbers` are drawn, the steps give the other numbers.

    A step is the name of its result, a sum of two earlier numbers, and what is said of it.
    """

    text: str
    numbers: Mapping[str, range]
    steps: tuple[tuple[str, str, str], ...]
    words: Mapping[str, tuple[str, ...]]


def draw_problem(rng: Random) -> Problem:
    """Draw a story and fill it in, so that every division in it comes out even."""
    story = rng.choice(STORIES)
    words = _words(story, rng)
    while True:
        numbers = {name: rng.choice(choices) for name, choices in story.numbers.items()}
        problem = _told(story, {**words, **numbers})
        if problem is not None:
            return problem


def _words(story: Story, rng: Random) -> dict[str, str]:
    who, friend = rng.sample(_PEOPLE, 2)
    pools = (*_SHARED.items(), *story.words.items())
    return {"who": who, "friend": friend} | {name: rng.choice(pool) for name, pool in pools}


def _told(story: Story, values: _Values) -> Problem | None:
    """The problem of these values, or None where a result is no whole number, or too small."""
    steps = []
    for name, formula, message in story.steps:
        left, sign, right = formula.split()
        a, b = _number(left, values), _number(right, values)
        result = _OPERATIONS[sign](a, b)
        if result < _MIN_RESULT or (sign == "/" and a % b):
            return None
        values[name] = result
        steps.append(StageRunner(message.format_map(values), f"{a} {sign} {b}", result))
    return Problem(story.text.format_map(values), tuple(steps))


def _number(term: str, values: _Values) -> int:
    return int(values.get(term, term))


_PEOPLE = (
    *("Amara", "Bruno", "Chiara", "Dmitri", "Elif", "Femi", "Greta", "Hiroshi", "Ines", "Jonas"),
    *("Kavya", "Lars", "Mei", "Nadia", "Oscar", "Priya", "Quentin", "Rosa", "Søren", "Tomás"),
    *("Uma", "Viktor", "Wanda", "Ximena", "Yusuf", "Zoë", "Aisha", "Bálint", "Cora", "Dag"),
)

_SHARED = {
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "town": (
        *("Ashby", "Brindle", "Corran", "Dunmore", "Elsworth", "Farley", "Glenroy", "Hartwick"),
        *("Ivybridge", "Kelling", "Lorne", "Marden"),
    ),
}

STORIES = (
    Story(
        "On {day}, {who} bakes {trays} trays of {each} {things} for the market in {town}. "
        "{burnt} of them burn, and the others go into boxes of {size}. How many boxes are filled?",
        {"trays": range(4, 16), "each": range(8, 31), "burnt": range(2, 30), "size": range(4, 10)},
        (
            ("baked", "trays * each", "{who} bakes {trays} trays of {each}"),
            ("good", "baked - burnt", "Without the burnt ones there are fewer"),
            ("boxes", "good / size", "They are packed {size} to a box"),
        ),
        {"things": ("scones", "rolls", "pretzels", "muffins", "cinnamon buns", "tartlets")},
    ),
    Story(
        "The library of {town} has {shelves} shelves with {each} {things} on each. On {day}, "
        "readers take {out} of them home and bring {back} back. How many {things} are on the "
        "shelves in the evening?",
        {
            "shelves": range(6, 30),
            "each": range(20, 45),
            "out": range(30, 110),
            "back": range(12, 90),
        },
        (
            ("held", "shelves * each", "The shelves hold {each} {things} each"),
            ("left", "held - out", "Readers take {out} home"),
            ("evening", "left + back", "They bring {back} back"),
        ),
        {"things": ("novels", "atlases", "comics", "picture books", "magazines", "biographies")},
    ),
    Story(
        "A {vehicle} leaves {town} on {day} with {start} people on board. At the first stop, {off} "
        "get off and {on} get on. At the second stop, half of the people on board get off. How "
        "many ride on?",
        {"start": range(24, 180), "off": range(3, 60), "on": range(3, 90)},
        (
            ("stayed", "start - off", "{off} people get off at the first stop"),
            ("aboard", "stayed + on", "{on} people get on"),
            ("rest", "aboard / 2", "Half of them ride on"),
        ),
        {"vehicle": ("bus", "ferry", "tram", "night train", "cable car")},
    ),
    Story(
        "{who} wants a {thing} that costs {price} dollars. {who} saves {weekly} dollars a week for "
        "{weeks} weeks, and {friend} adds {gift} dollars. How many dollars are still missing?",
        {
            "price": range(180, 900, 5),
            "weekly": range(5, 40),
            "weeks": range(3, 18),
            "gift": range(5, 60),
        },
        (
            ("saved", "weekly * weeks", "In {weeks} weeks {who} saves, in dollars"),
            ("held", "saved + gift", "{friend} adds {gift} dollars"),
            ("missing", "price - held", "The {thing} costs {price} dollars"),
        ),
        {"thing": ("guitar", "bicycle", "telescope", "tent", "keyboard", "kayak", "camera")},
    ),
    Story(
        "{who} begins a {book} that has {pages} pages. On {day} {who} reads {first} pages, and on "
        "the next day twice as many. The remaining pages are spread evenly over {days} days. How "
        "many pages are read on each of those days?",
        {"pages": range(180, 640), "first": range(12, 60), "days": range(3, 10)},
        (
            ("second", "first * 2", "On the second day {who} reads twice as many pages"),
            ("both", "first + second", "Both days together make"),
            ("rest", "pages - both", "Of the {book}, this is left"),
            ("daily", "rest / days", "Spread over {days} days"),
        ),
        {"book": ("novel", "biography", "travel diary", "history of bridges", "book of sagas")},
    ),
    Story(
        "Behind the {place} in {town}, {who} sets {rows} rows of {each} plants. Frost kills "
        "{lost} of them. Each of the others bears {bears} {things}. How many {things} are picked?",
        {"rows": range(4, 20), "each": range(6, 25), "lost": range(2, 24), "bears": range(5, 20)},
        (
            ("set", "rows * each", "{who} sets {rows} rows of {each} plants"),
            ("alive", "set - lost", "Frost kills {lost} plants"),
            ("picked", "alive * bears", "Each plant bears {bears} {things}"),
        ),
        {
            "place": ("school", "mill", "old station", "chapel", "fire house"),
            "things": ("chillies", "tomatoes", "strawberries", "courgettes", "peppers"),
        },
    ),
    Story(
        "The {room} of a house in {town} is {long} metres long and {wide} metres wide. {who} "
        "covers its floor with {cover} at {price} dollars a square metre, and pays {friend} {fee} "
        "dollars for the work. How many dollars does the floor cost?",
        {
            "long": range(4, 16),
            "wide": range(3, 12),
            "price": range(14, 70),
            "fee": range(60, 400, 5),
        },
        (
            ("area", "long * wide", "The floor of the {room} measures, in square metres"),
            ("material", "area * price", "The {cover} costs {price} dollars a square metre"),
            ("total", "material + fee", "The work is {fee} dollars more"),
        ),
        {
            "room": ("kitchen", "attic", "dining room", "workshop", "hall"),
            "cover": ("cork", "carpet", "oak boards", "slate", "linoleum"),
        },
    ),
    Story(
        "For the {show} in {town}, {who} buys {adults} tickets for adults at {full} dollars each "
        "and {children} for children at {reduced} dollars each, and pays with {notes} notes of 50 "
        "dollars. How many dollars of change does {who} get?",
        {
            "adults": range(2, 9),
            "full": range(14, 40),
            "children": range(2, 12),
            "reduced": range(5, 14),
            "notes": range(3, 9),
        },
        (
            ("grown", "adults * full", "The tickets for adults cost"),
            ("small", "children * reduced", "The tickets for children cost"),
            ("total", "grown + small", "Together that is"),
            ("paid", "notes * 50", "{who} pays with {notes} notes"),
            ("change", "paid - total", "The change is"),
        ),
        {"show": ("circus", "puppet play", "film night", "jazz concert", "ice revue")},
    ),
    Story(
        "{who} cycles {way} kilometres to the {place} in {town} and the same way home, {days} days "
        "a week. At the weekend there is a tour of {tour} kilometres. How many kilometres does "
        "{who} cycle in {weeks} weeks?",
        {"way": range(3, 24), "days": range(3, 6), "tour": range(15, 90), "weeks": range(2, 14)},
        (
            ("daily", "way * 2", "There and back, in kilometres"),
            ("weekdays", "daily * days", "On {days} days of a week"),
            ("weekly", "weekdays + tour", "With the tour at the weekend"),
            ("total", "weekly * weeks", "In {weeks} weeks"),
        ),
        {"place": ("office", "clinic", "harbour", "university", "bakery", "observatory")},
    ),
    Story(
        "In a plant near {town}, one machine fills {slow} {things} of {liquid} a minute and "
        "another {fast}. On {day} both are switched on for {minutes} minutes, but stand still for "
        "{pause} of these. How many {things} do they fill?",
        {
            "slow": range(8, 30),
            "fast": range(25, 70),
            "minutes": range(60, 400),
            "pause": range(5, 50),
        },
        (
            ("both", "slow + fast", "Together they fill, each minute"),
            ("running", "minutes - pause", "They run for so many minutes"),
            ("filled", "both * running", "In that time they fill"),
        ),
        {
            "things": ("bottles", "jars", "cans", "flasks"),
            "liquid": ("juice", "syrup", "olive oil", "lemonade", "vinegar"),
        },
    ),
    Story(
        "{who}, {friend} and {others} others rent a {craft} in {town} for {hours} hours at {rate} "
        "dollars an hour. A voucher takes {off} dollars off, and they share the rest equally. How "
        "many dollars does each of them pay?",
        {
            "others": range(2, 8),
            "hours": range(3, 12),
            "rate": range(18, 80),
            "off": range(10, 60, 5),
        },
        (
            ("full", "hours * rate", "{hours} hours cost, in dollars"),
            ("rest", "full - off", "The voucher takes {off} off"),
            ("people", "others + 2", "With {who} and {friend} there are so many people"),
            ("each", "rest / people", "Each of them pays"),
        ),
        {"craft": ("rowing boat", "minibus", "sailing boat", "court", "rehearsal room")},
    ),
    Story(
        "{who} is {years} years old, and {friend}, who lives next door in {town}, is {times} times "
        "as old. {friend} has a {relative} who is {more} years older than {friend}. How old will "
        "the {relative} be in {later} years?",
        {"years": range(4, 16), "times": range(2, 5), "more": range(2, 28), "later": range(3, 25)},
        (
            ("friends", "years * times", "{friend} is {times} times as old as {who}"),
            ("theirs", "friends + more", "The {relative} is {more} years older"),
            ("then", "theirs + later", "In {later} years the {relative} will be"),
        ),
        {"relative": ("sister", "brother", "cousin", "piano teacher", "colleague")},
    ),
    Story(
        "At the {place} in {town}, {who} works {hours} hours a week at {rate} dollars an hour, and "
        "this week {extra} more at {higher} dollars an hour. {kept} dollars are kept back for "
        "{cause}. How many dollars does {who} take home?",
        {
            "hours": range(12, 41),
            "rate": range(15, 32),
            "extra": range(2, 11),
            "higher": range(32, 50),
            "kept": range(20, 180),
        },
        (
            ("normal", "hours * rate", "The usual hours bring"),
            ("overtime", "extra * higher", "The {extra} hours on top bring"),
            ("gross", "normal + overtime", "Together that is"),
            ("net", "gross - kept", "{kept} dollars are kept back"),
        ),
        {
            "place": ("garage", "nursery", "print shop", "theatre", "boatyard"),
            "cause": ("the pension fund", "lunches", "a uniform", "the rent of a room"),
        },
    ),
    Story(
        "A tank on {who}'s farm near {town} holds {full} litres of water. Every day, {count} "
        "{animals} drink {each} litres each, and {leak} litres leak away. How many litres are left "
        "after {days} days?",
        {
            "full": range(3_000, 12_000, 50),
            "count": range(6, 30),
            "each": range(4, 16),
            "leak": range(3, 40),
            "days": range(3, 15),
        },
        (
            ("drunk", "count * each", "The {animals} drink, each day"),
            ("daily", "drunk + leak", "With what leaks away, so much goes each day"),
            ("used", "daily * days", "In {days} days"),
            ("left", "full - used", "Of {full} litres, this is left"),
        ),
        {"animals": ("goats", "sheep", "donkeys", "alpacas", "ponies", "llamas")},
    ),
    Story(
        "A {dish} takes {grams} grams of {things}. On {day}, {who} cooks {times} times the amount, "
        "and finds {held} grams at home. {friend} fetches the missing {things} in packets of "
        "{size} grams. How many packets are needed?",
        {
            "grams": range(200, 950, 50),
            "times": range(3, 12),
            "held": range(50, 700, 50),
            "size": range(50, 300, 50),
        },
        (
            ("needed", "grams * times", "{times} times the amount takes, in grams"),
            ("missing", "needed - held", "{held} grams are at home"),
            ("packets", "missing / size", "A packet holds {size} grams"),
        ),
        {
            "dish": ("soup", "curry", "stew", "salad", "casserole", "pie"),
            "things": ("lentils", "chickpeas", "carrots", "mushrooms", "beans", "spinach"),
        },
    ),
    Story(
        "{classes} classes of {each} pupils visit the {place} in {town} on {day}. A pupil's ticket "
        "costs {price} dollars, and the coaches cost {coach} dollars. The classes share the whole "
        "cost equally. How many dollars does each class pay?",
        {
            "classes": range(3, 9),
            "each": range(16, 32),
            "price": range(4, 18),
            "coach": range(200, 900, 5),
        },
        (
            ("pupils", "classes * each", "So many pupils go"),
            ("tickets", "pupils * price", "Their tickets cost"),
            ("total", "tickets + coach", "With the coaches"),
            ("share", "total / classes", "Shared by {classes} classes"),
        ),
        {"place": ("planetarium", "aquarium", "glassworks", "mining museum", "castle")},
    ),
    Story(
        "The hall in {town} has {rows} rows of {seats} seats. At the {show} on {day}, {empty} "
        "seats stay empty and {guests} guests of {who} come in free. Everybody else pays {price} "
        "dollars. How many dollars are taken?",
        {
            "rows": range(8, 30),
            "seats": range(10, 36),
            "empty": range(5, 60),
            "guests": range(2, 20),
            "price": range(6, 40),
        },
        (
            ("all", "rows * seats", "The hall has so many seats"),
            ("filled", "all - empty", "{empty} seats stay empty"),
            ("paying", "filled - guests", "{guests} guests do not pay"),
            ("taken", "paying * price", "The others pay {price} dollars each"),
        ),
        {"show": ("recital", "magic evening", "debate", "poetry slam", "choir contest")},
    ),
)
