"""Conversations that the recipe makes from tables, rules and the corpus: one module a subject, one table of shares.

Every subject is a function that takes a seeded `random.Random` (and the corpus where it needs one) and returns an
endless iterator of dialogues; `mixture` takes as many of each as its table says. Nothing here knows token ids.
"""
