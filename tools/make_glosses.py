"""Make codebooks/datasets/data/glosses.tsv.gz from the files of WordNet 3.0: python tools/make_glosses.py FOLDER.

FOLDER contains data.noun and index.noun (Debian: package wordnet-base, folder /usr/share/wordnet). From each of 13
lexicographer files 320 synsets are selected, evenly spaced, among those that are the first sense of their first word
and have a definition of 12 to 24 words. Synsets with offensive or sexual content are excluded.
"""

import gzip
import re
import sys
from pathlib import Path

PER_FILE, SHORTEST, LONGEST = 320, 12, 24
FILES = {
    "animal": 5,
    "artifact": 6,
    "body": 8,
    "food": 13,
    "location": 15,
    "object": 17,
    "person": 18,
    "phenomenon": 19,
    "plant": 20,
    "possession": 21,
    "state": 26,
    "substance": 27,
    "time": 28,
}
EXCLUDED = re.compile(
    r"\bslur|offensive|disparag|derogat|obscen|vulgar|contempt|racial|\brace of people|caucasian|mongolian race|negro"
    r"|suicide|concentration camp|prostitut|\brape\b|\bgay\b|sexual|sex acts|genital|intercourse|copulat|semen\b"
    r"|penis|vagina|uter[iu]|scrotum|testic|nipple",
    re.IGNORECASE,
)


def read_lines(file):
    """Yield the entries of a file of WordNet, without its header."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            yield line


def main(folder):
    """Select the glosses and write them, sorted by their words."""
    first = {}  # lemma -> its first synset
    for line in read_lines(folder / "index.noun"):
        fields = line.split()
        first[fields[0]] = fields[6 + int(fields[3])]
    texts_of = {label: [] for label in FILES}
    label_of = {number: label for label, number in FILES.items()}
    for line in read_lines(folder / "data.noun"):
        head, gloss = line.split(" | ", 1)
        synset, number, _, _, word = head.split()[:5]
        definition = re.split(r';\s*"', gloss)[0].strip(" ;")  # without the example sentences
        text = f"{word.replace('_', ' ')}: {definition}"
        if (
            int(number) in label_of
            and first.get(word.lower()) == synset
            and SHORTEST <= len(definition.split()) <= LONGEST
            and not EXCLUDED.search(text)
        ):
            texts_of[label_of[int(number)]].append(text)
    rows = []
    for label, texts in texts_of.items():
        n_rows = min(PER_FILE, len(texts))
        rows += [(texts[i * len(texts) // n_rows], label) for i in range(n_rows)]
    lines = [f"{label}\t{text}\n" for text, label in sorted(rows, key=lambda row: (row[0].casefold(), row))]
    target = Path(__file__).parents[1] / "codebooks/datasets/data/glosses.tsv.gz"
    target.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))
    print(f"{len(lines)} glosses, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
