"""Texts of planted topics, for tests of `TopicModel`."""

import numpy as np

THEMES = {
    "sport": "goal match team player league striker coach stadium referee season",
    "money": "bank loan interest credit market stock share profit investor broker",
    "music": "guitar band song album singer concert drum melody chorus orchestra",
    "space": "rocket orbit planet moon star telescope galaxy comet astronaut probe",
}


def make_texts(themes=tuple(THEMES), n=40, n_words=8, seed=0, common=("today", "people", "new")):
    """Return texts, themes one after another in turn, and the theme of each."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for i in range(n * len(themes)):
        theme = themes[i % len(themes)]
        words = [*rng.choice(THEMES[theme].split(), n_words), *rng.choice(common, 2)]
        texts.append(" ".join(words))
        labels.append(theme)
    return texts, labels
