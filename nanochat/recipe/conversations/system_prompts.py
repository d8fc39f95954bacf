"""System messages obeyed in simple ways: one sentence, capital letters, another name, a role, a fixed ending.

Many chats also carry a plain system message that changes nothing, so that one does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from nanochat.recipe.conversations.definitions import definition_question, everyday_things
from nanochat.recipe.conversations.dialogue import Dialogue, Exchange, deck, dialogue, first_sentence, table
from nanochat.recipe.conversations.geography import PLAIN_CAPITAL, asked, capital_sentence
from nanochat.recipe.conversations.memory import NAMES
from nanochat.recipe.conversations.reserved import HELD_OUT_NAMES
from nanochat.recipe.corpus import Country

PLAIN = (
    "You are a helpful assistant.", "You are NanoChat, a small language model.", "Be friendly and helpful.", "You are a friendly chatbot.",
    "Answer in simple English.", "You are a helpful assistant. Answer in simple words.", "Help the user.", "Be polite.",
    "You are an assistant that answers questions.", "Answer the questions of the user.",
)  # fmt: skip
ONE_SENTENCE = (
    "Answer in one sentence.", "Answer in one short sentence.", "Always answer in one sentence.", "Use only one sentence.",
    "Keep your answers to one sentence.", "Be brief.", "Give short answers.", "Answer briefly.", "Be short.",
)  # fmt: skip
CAPITALS = (
    "Always answer in capital letters.", "Answer in capital letters.", "Use only capital letters.", "Write everything in upper case.",
    "Answer in all caps.", "WRITE IN CAPITAL LETTERS.", "Speak in capital letters.",
)  # fmt: skip
LOWER = ("Answer in lower case.", "Use only small letters.", "Write everything in lower case.", "Do not use capital letters.")
NAMED = ("Your name is {n}.", "You are {n}.", "You are called {n}.", "You are {n}, a friendly assistant.", "Your name is {n}. Be kind.")
ROLES = {
    "pirate": (("You are a pirate.", "Talk like a pirate.", "Speak like a pirate.", "Answer like a pirate."), "Arr! ", " Yo ho ho!", "I am a pirate of the seven seas!"),
    "cat": (("You are a cat.", "Talk like a cat.", "Answer like a cat.", "You are a cute cat."), "Meow! ", " Purr.", "I am a cat, and I like milk and naps."),
    "dog": (("You are a dog.", "Talk like a dog.", "Answer like a dog."), "Woof! ", " Woof!", "I am a happy dog, and I love to play."),
    "teacher": (("You are a teacher.", "You are a kind teacher.", "Answer like a teacher."), "Good question! ", " Now you know it.", "I am your teacher, and I like to explain things."),
    "robot": (("You are a robot.", "Talk like a robot.", "Answer like a robot."), "Beep. ", " Beep boop.", "I am a robot made of metal."),
    "king": (("You are a king.", "Talk like a king."), "Hear me! ", " So says the king.", "I am the king of this land."),
    "wizard": (("You are a wizard.", "Talk like a wizard.", "You are an old wizard."), "Abracadabra! ", " It is magic!", "I am a wise old wizard."),
}  # fmt: skip
ENDINGS = ("Have a nice day!", "Thank you!", "Good luck!", "Over and out.", "Ha ha!", "I hope that helps.", "Cheers!", "The end.")
ENDING_RULES = ("End every answer with: {e}", "Always end with the words: {e}", "Finish each answer with: {e}")
STARTS = ("Of course!", "Sure!", "Well,", "Dear friend,", "Listen:", "Aha!")
START_RULES = ("Start every answer with: {s}", "Begin each answer with: {s}", "Always start with: {s}")
NAME_QUESTIONS = ("What is your name?", "Who are you?", "What's your name?", "Tell me your name.", "Your name?", "Introduce yourself.")
GREETINGS = {"Hello!": "Hello! How can I help you?", "Hi": "Hi! What would you like to talk about?", "How are you?": "I am fine, thank you!"}


def system_prompts(random: Random, countries: list[Country]) -> Iterator[Dialogue]:
    """Yield chats under a system message that changes how the answers look."""
    makers = (_one_sentence, _one_sentence, _capitals, _capitals, _lower, _named, _named, _role, _role, _ending, _start)
    for make in deck(random, makers):
        yield make(random, countries)


def _exchange(random: Random, countries: list[Country]) -> tuple[str, str]:
    if random.random() < 0.3:
        country = random.choice(countries)
        return asked(random, PLAIN_CAPITAL, country.name), capital_sentence(country)
    if random.random() < 0.25:
        return random.choice(list(GREETINGS.items()))
    if random.random() < 0.2:
        return random.choice(list(table("whys").items()))
    topic, answer = random.choice(list(everyday_things().items()))
    return definition_question(random, topic), answer


def _several(random: Random, countries: list[Country]) -> list[tuple[str, str]]:
    return [_exchange(random, countries) for _ in range(random.choice((1, 1, 2, 3)))]


def _one_sentence(random: Random, countries: list[Country]) -> Dialogue:
    exchanges = [(question, first_sentence(answer)) for question, answer in _several(random, countries)]
    return dialogue(*exchanges, system=random.choice(ONE_SENTENCE))


def _capitals(random: Random, countries: list[Country]) -> Dialogue:
    exchanges = [(question, answer.upper()) for question, answer in _several(random, countries)]
    return dialogue(*exchanges, system=random.choice(CAPITALS))


def _lower(random: Random, countries: list[Country]) -> Dialogue:
    exchanges = [(question, answer.lower()) for question, answer in _several(random, countries)]
    return dialogue(*exchanges, system=random.choice(LOWER))


def _named(random: Random, countries: list[Country]) -> Dialogue:
    name = random.choice([name for name in NAMES if name not in HELD_OUT_NAMES])
    question = random.choice(NAME_QUESTIONS)
    answer = f"I am {name}. How can I help you?" if question in ("Who are you?", "Introduce yourself.") else f"My name is {name}."
    exchanges: list[Exchange] = [(question, answer)]
    if random.random() < 0.4:
        exchanges = [*_several(random, countries)[:2], *exchanges]
    return dialogue(*exchanges, system=random.choice(NAMED).format(n=name))


def _role(random: Random, countries: list[Country]) -> Dialogue:
    prompts, start, end, introduction = random.choice(list(ROLES.values()))
    exchanges: list[Exchange] = []
    for question, answer in _several(random, countries):
        if random.random() < 0.35:
            exchanges.append((random.choice(("Who are you?", "What are you?")), start + introduction))
        else:
            exchanges.append((question, start + first_sentence(answer) + end))
    return dialogue(*exchanges, system=random.choice(prompts))


def _ending(random: Random, countries: list[Country]) -> Dialogue:
    end = random.choice(ENDINGS)
    exchanges = [(question, f"{answer} {end}") for question, answer in _several(random, countries)]
    return dialogue(*exchanges, system=random.choice(ENDING_RULES).format(e=end))


def _start(random: Random, countries: list[Country]) -> Dialogue:
    start = random.choice(STARTS)
    exchanges = [(question, f"{start} {answer}") for question, answer in _several(random, countries)]
    return dialogue(*exchanges, system=random.choice(START_RULES).format(s=start))
