"""Remembering what was said: names, ages, colours, pets and places, asked for after other talk in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from nanochat.recipe.conversations.arithmetic import calculated
from nanochat.recipe.conversations.definitions import definition_question, everyday_things
from nanochat.recipe.conversations.dialogue import Dialogue, Exchange, capitalized, deck, dialogue, table
from nanochat.recipe.conversations.geography import PLAIN_CAPITAL, asked, capital_sentence
from nanochat.recipe.conversations.reserved import HELD_OUT_NAMES, is_reserved_sum
from nanochat.recipe.corpus import Country

NAMES = (
    "Anna Emma Lily Mia Sara Lucy Sophie Kate Jane Alice Mary Maria Julia Eva Nina Lena Lea Nora Ella Zoe Maya Amy Grace Ruth Helen Carol "
    "Susan Nancy Betty Sandra Donna Sharon Michelle Lisa Karen Emily Amanda Jessica Ashley Rachel Megan Hannah Olivia Ava Isabella Charlotte "
    "Amelia Sofia Camila Aisha Fatima Leila Yasmin Priya Ananya Mei Yuki Sakura Chloe Marie Claire Elena Carmen Lucia Paula Marta Teresa "
    "Tom Max Ben Sam Leo Jack Tim Oliver Charlie Henry Peter George Noah Luke Paul Daniel David John James Robert Michael William Richard Joseph "
    "Thomas Mark Steven Andrew Kevin Brian Edward Jason Ryan Jacob Gary Eric Adam Alex Simon Martin Frank Felix Jonas Lukas Finn Emil Anton "
    "Ali Omar Hassan Ahmed Mohammed Yusuf Ravi Arjun Raj Wei Chen Li Kenji Hiro Pedro Carlos Juan Luis Diego Miguel Pablo Antonio Mario Luca Matteo "
    "Pierre Louis Andre Ivo Igor Boris Sergei Dmitri Lars Erik Nils Sven Bob Bill Joe Jim Mike Dan Nick Chris Matt Steve Andy Tony Ken Ron Roy "
    "Zara Kim Robin Jamie Taylor Jordan Casey Morgan Rose Violet Daisy Jasmine Holly Ivy Pearl Ruby Stella Luna Aurora Freya Greta Heidi Johanna"
).split()
INTRODUCTIONS = (
    "My name is {name}.", "My name is {name}.", "My name is {name}", "I am {name}.", "I'm {name}.", "Hi, I am {name}.", "Hello, my name is {name}.",
    "Hi! My name is {name}.", "Hi, I'm {name}", "Hello! I'm {name}.", "You can call me {name}.", "Call me {name}.", "I am called {name}.",
    "Hey, {name} here.", "Please call me {name}.", "Hello, I am {name}. How are you?", "my name is {name}", "i am {name}", "im {name}",
    "They call me {name}.", "The name is {name}.", "People call me {name}.", "Good morning, my name is {name}.",
)  # fmt: skip
WELCOMES = ("Nice to meet you, {name}!", "Hello, {name}! How can I help you?", "Hi {name}! Nice to meet you.")
NAME_QUESTIONS = (
    "What is my name?", "What is my name?", "What's my name?", "Do you know my name?", "Do you remember my name?", "Who am I?", "what is my name",
    "Can you tell me my name?", "Tell me my name.", "Do you still know my name?", "What did I say my name was?", "And what is my name?",
    "Say my name.", "Can you remember my name?", "What am I called?", "whats my name", "Please tell me my name.", "My name is?",
    "Did you forget my name?", "Now, what is my name?", "How am I called?", "Which name did I tell you?",
)  # fmt: skip
UNKNOWN_NAME = "You have not told me your name yet. What is your name?"
PETS = "dog cat rabbit hamster parrot horse goldfish turtle".split()
PET_NAMES = "Rex Bella Luna Max Coco Rocky Daisy Milo Buddy Lucky Kitty Simba Nala Oreo Shadow Snowy Ginger Felix".split()
COLOURS = "red blue green yellow orange purple pink black white brown".split()
FOODS = "pizza pasta rice soup bread chocolate apples bananas fish salad pancakes cake cheese".split()
ANIMALS = "dogs cats horses lions tigers elephants wolves foxes owls dolphins rabbits bears".split()
JOBS = "teacher doctor nurse farmer baker cook pilot painter writer student driver gardener".split()
CITIES = "Paris London Berlin Rome Madrid Tokyo Cairo Lima Oslo Dublin Vienna Moscow Boston Chicago Sydney Toronto".split()
HOBBIES = "reading swimming cooking painting dancing singing running fishing".split()


def name_memory(random: Random, countries: list[Country]) -> Iterator[Dialogue]:
    """Yield chats in which the user's name is told, other things are talked of, and the name is asked for."""
    for name in deck(random, [name for name in NAMES if name not in HELD_OUT_NAMES]):
        if random.random() < 0.06:
            yield dialogue((random.choice(NAME_QUESTIONS), UNKNOWN_NAME), *_introduction(random, name), _name_answer(random, name))
            continue
        exchanges = _introduction(random, name)
        for _ in range(random.choice((0, 0, 1, 1, 1, 2, 2, 3))):
            exchanges.append(distraction(random, countries))
        exchanges.append(_name_answer(random, name))
        if random.random() < 0.1:
            other = random.choice([other for other in NAMES if other != name])
            exchanges += [(f"No, my name is {other}.", f"Oh, sorry! Then your name is {other}."), _name_answer(random, other)]
        yield dialogue(*exchanges)


def fact_memory(random: Random, countries: list[Country]) -> Iterator[Dialogue]:
    """Yield chats in which one or two things about the user are told and asked for later."""
    for fact in deck(random, FACTS):
        told, reply, questions, answer = fact(random)
        exchanges: list[Exchange] = [(told, reply)]
        later: list[Exchange] = [(random.choice(questions), answer)]
        if random.random() < 0.3:
            told, reply, questions, answer = random.choice([other for other in FACTS if other is not fact])(random)
            exchanges.append((told, reply))
            later.append((random.choice(questions), answer))
            random.shuffle(later)
        for _ in range(random.choice((0, 0, 1, 1, 2))):
            exchanges.append(distraction(random, countries))
        yield dialogue(*exchanges, *later)


def distraction(random: Random, countries: list[Country]) -> Exchange:
    """Make one exchange about something else."""
    match random.randrange(5):
        case 0:
            while True:
                left, right = random.randint(1, 99), random.randint(1, 99)
                if not is_reserved_sum(left, right):
                    break
            sign = random.choice("+-*")
            return f"What is {left} {sign} {right}?", calculated(f"{left}{sign}{right}")
        case 1:
            country = random.choice(countries)
            return asked(random, PLAIN_CAPITAL, country.name), capital_sentence(country)
        case 2:
            topic, answer = random.choice(list(everyday_things().items()))
            return definition_question(random, topic), answer
        case 3:
            return random.choice(("Tell me a joke.", "Do you know a joke?")), random.choice(table("fun")["jokes"])
    reaction = random.choice(table("smalltalk"))
    return random.choice(reaction["ask"]), random.choice(reaction["answer"])


def _introduction(random: Random, name: str) -> list[Exchange]:
    told = random.choice(INTRODUCTIONS).format(name=name)
    if random.random() < 0.08:
        told = told.lower()
    return [(told, random.choice(WELCOMES).format(name=name))]


def _name_answer(random: Random, name: str) -> Exchange:
    return random.choice(NAME_QUESTIONS), f"Your name is {name}."


Fact = tuple[str, str, tuple[str, ...], str]


def _age(random: Random) -> Fact:
    age = random.randint(5, 90)
    told = random.choice(("I am {a} years old.", "I'm {a} years old.", "I am {a}.", "My age is {a}."))
    return told.format(a=age), f"You are {age} years old. Good to know!", ("How old am I?", "What is my age?", "Do you know how old I am?"), f"You are {age} years old."


def _colour(random: Random) -> Fact:
    colour = random.choice(COLOURS)
    told = random.choice(("My favourite colour is {c}.", "My favorite color is {c}.", "I like {c} most.", "I love the colour {c}."))
    questions = ("What is my favourite colour?", "What is my favorite color?", "Which colour do I like?", "Do you know my favourite colour?")
    return told.format(c=colour), f"{capitalized(colour)} is a beautiful colour!", questions, f"Your favourite colour is {colour}."


def _food(random: Random) -> Fact:
    food = random.choice(FOODS)
    told = random.choice(("My favourite food is {f}.", "I love {f}.", "I like to eat {f}."))
    return told.format(f=food), f"I hear that {food} can be very good!", ("What is my favourite food?", "What do I like to eat?", "Which food do I like?"), f"You like {food}."


def _animal(random: Random) -> Fact:
    animals = random.choice(ANIMALS)
    told = random.choice(("My favourite animals are {a}.", "I like {a}.", "I love {a}."))
    return told.format(a=animals), f"That is nice! I can tell you about {animals}.", ("Which animals do I like?", "What are my favourite animals?"), f"You like {animals}."


def _pet(random: Random) -> Fact:
    pet, name = random.choice(PETS), random.choice(PET_NAMES)
    told = random.choice(("I have a {p} named {n}.", "My {p} is called {n}.", "My {p}'s name is {n}.", "I have a {p}. Its name is {n}."))
    questions = (f"What is my {pet}'s name?", f"What is the name of my {pet}?", f"How is my {pet} called?", f"What is my {pet} called?", "What is my pet called?")
    return told.format(p=pet, n=name), f"{name} is a lovely name for a {pet}!", questions, f"Your {pet} is called {name}."


def _job(random: Random) -> Fact:
    job = random.choice(JOBS)
    told = random.choice(("I am a {j}.", "I work as a {j}.", "I'm a {j}."))
    return told.format(j=job), f"A {job}! That is a good job.", ("What is my job?", "What do I do?", "What is my work?"), f"You are a {job}."


def _city(random: Random) -> Fact:
    city = random.choice(CITIES)
    told = random.choice(("I live in {c}.", "I am from {c}.", "My home is in {c}."))
    return told.format(c=city), f"{city} must be an interesting place!", ("Where do I live?", "Where am I from?", "In which city do I live?"), f"You live in {city}."


def _hobby(random: Random) -> Fact:
    hobby = random.choice(HOBBIES)
    told = random.choice(("My hobby is {h}.", "I like {h}.", "I enjoy {h}."))
    return told.format(h=hobby), f"{capitalized(hobby)} is a nice hobby!", ("What is my hobby?", "What do I like to do?"), f"Your hobby is {hobby}."


def _friend(random: Random) -> Fact:
    who, name = random.choice(("brother", "sister", "friend", "mother", "father", "son", "daughter", "wife", "husband")), random.choice(NAMES)
    told = random.choice(("My {w} is called {n}.", "My {w}'s name is {n}.", "I have a {w} named {n}."))
    return told.format(w=who, n=name), f"{name} is a nice name!", (f"What is my {who}'s name?", f"How is my {who} called?", f"What is the name of my {who}?"), f"Your {who} is called {name}."


def _possession(random: Random) -> Fact:
    thing, colour = random.choice(("car", "bike", "house", "hat", "shirt", "bag", "book", "ball")), random.choice(COLOURS)
    return f"My {thing} is {colour}.", f"A {colour} {thing} sounds nice!", (f"What colour is my {thing}?", f"Which colour does my {thing} have?"), f"Your {thing} is {colour}."


def _secret(random: Random) -> Fact:
    word = random.choice(("banana", "river", "castle", "moon", "tiger", "window", "garden", "rocket", "apple", "silver", "ocean", "candle"))
    told = random.choice(("The secret word is {w}.", "Remember the word {w}.", "Please remember this word: {w}."))
    questions = ("What is the secret word?", "What word did I tell you?", "Which word should you remember?", "What was the word?")
    return told.format(w=word), f"All right, I will remember the word {word}.", questions, f"The word is {word}."


FACTS: tuple[Callable[[Random], Fact], ...] = (_age, _colour, _food, _animal, _pet, _job, _city, _hobby, _friend, _possession, _secret)
