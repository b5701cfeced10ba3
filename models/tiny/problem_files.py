"""Writes the problem files of the embedded model; needs nothing but Python.

    python models/tiny/problem_files.py

Seeded. `problems_heldout.jsonl` and `problems_train.jsonl` never occur in the training text (make.py). `problems_solved.jsonl` holds
solved examples, for the context of a model or its training data: no problem of the other two files, but such as the text has.
`text_heldout.jsonl` holds the held-out problems of levels 1 to 5 as the lines that the model was trained on are written: how likely they
are tells what a trained model forgot.
"""

import json
import random
from pathlib import Path

from problems import answer, canonical, is_antiderivative, random_problem, show

HERE = Path(__file__).resolve().parent
SEED = 20261123
HELDOUT_COUNTS = {1: 6, 2: 24, 3: 10, 4: 40, 5: 40, 6: 40, 7: 40, 8: 40}
TRAIN_COUNTS = {6: 12, 7: 28, 8: 24}
TEXT_LEVELS = 5
SOLVED_COUNTS = {3: 2, 4: 3, 5: 3, 6: 3, 7: 3, 8: 2}


def draw_set(rng, counts, reserved, prefix, solved=False):
    """Problems by level; `reserved` collects their canonical forms. Levels 1 and 3 repeat forms with other factors."""
    rows = []
    for level, count in counts.items():
        forms, texts, limit = set(), set(), {1: 2, 3: 5}.get(level, count)
        while len(texts) < count:
            problem = random_problem(rng, level)
            form, text = canonical(problem), show(problem)
            taken = form in reserved and form not in forms
            if taken or text in texts or (form not in forms and len(forms) == limit):
                continue
            forms.add(form)
            texts.add(text)
            row = {"problem": text, "id": f"{prefix}-{level}-{len(texts):02}", "level": level}
            if solved:
                row["answer"] = answer(problem)
                assert is_antiderivative(text, row["answer"]), row
            rows.append(row)
        reserved |= forms
    return rows


def make_problem_files(write=True):
    """(held-out rows, training rows, canonical forms that no text may hold); writes the files."""
    rng, reserved = random.Random(SEED), set()
    heldout = draw_set(rng, HELDOUT_COUNTS, reserved, "heldout")
    train = draw_set(rng, TRAIN_COUNTS, reserved, "root")
    # Numbers and forms of their own: what the text may hold does not depend on them.
    solved = draw_set(random.Random(SEED + 2), SOLVED_COUNTS, set(reserved), "solved", solved=True)
    for name, rows in [("heldout", heldout), ("train", train), ("solved", solved)] if write else []:
        (HERE / f"problems_{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    if write:
        again = draw_set(random.Random(SEED), HELDOUT_COUNTS, set(), "heldout", solved=True)
        lines = [{"text": f"?{row['problem']}={row['answer']}"} for row in again if row["level"] <= TEXT_LEVELS]
        (HERE / "text_heldout.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return heldout, train, reserved


if __name__ == "__main__":
    make_problem_files()
