"""The integrals that the embedded model learns from: problems by level, their answers, rungs between them, a verifier.

A problem is a list of terms, each a tuple (kind, a, p, f):

    power    a*x^p
    inverse  a/x
    simple   a*f(p*x)            f is sin, cos or exp
    parts    a*x*f(p*x)
    shifted  (x+a)*f(p*x)

Levels: 1 one power, 2 two or three powers, 3 one simple or inverse term, 4 that plus a power, 5 two simple terms,
6 one parts or shifted term, 7 parts plus a power or a simple term, 8 parts plus a simple term plus a power.
"""

import math
from fractions import Fraction

LEVELS = range(1, 9)
FUNCTIONS = ["sin", "cos", "exp"]
POINTS = [0.37, 0.71, 1.13, 1.58, 2.09]


# Printing


def argument(k):
    return {1: "x", -1: "-x"}.get(k, f"{k}*x")


def function(f, k):
    return f"{f}({argument(k)})"


def power(n):
    return "" if n == 0 else "x" if n == 1 else f"x^{n}"


def product(coefficient, body):
    """|coefficient| * body with reduced fractions: `3*x^2/2`, `sin(x)`, `5`."""
    size = abs(Fraction(coefficient))
    if body == "1/x":
        return f"{size.numerator}/x"
    number = str(size.numerator)
    text = number if not body else body if size.numerator == 1 else f"{number}*{body}"
    return text if size.denominator == 1 else f"{text}/{size.denominator}"


def show_sum(parts):
    text = ""
    for coefficient, body in parts:
        text += "-" if coefficient < 0 else "+" if text else ""
        text += product(coefficient, body)
    return text


def integrand_part(term):
    kind, a, p, f = term
    if kind == "power":
        return a, power(p)
    if kind == "inverse":
        return a, "1/x"
    if kind == "simple":
        return a, function(f, p)
    if kind == "parts":
        return a, "x*" + function(f, p)
    return 1, f"(x{a:+})*" + function(f, p)


def answer_parts(term):
    """Antiderivative of one term as (coefficient, body) pairs; products by parts give two."""
    kind, a, p, f = term
    if kind == "power":
        return [(Fraction(a, p + 1), power(p + 1))]
    if kind == "inverse":
        return [(Fraction(a), "log(x)")]
    integral, sign = {"sin": ("cos", -1), "cos": ("sin", 1), "exp": ("exp", 1)}[f]
    if kind == "simple":
        return [(Fraction(sign * a, p), function(integral, p))]
    factor, scale = ("x*", a) if kind == "parts" else (f"(x{a:+})*", 1)
    second = -1 if f == "exp" else 1
    first = (Fraction(sign * scale, p), factor + function(integral, p))
    return [first, (Fraction(second * scale, p * p), function(f, p))]


def show(problem):
    return show_sum(map(integrand_part, problem))


def answer(problem):
    return show_sum(part for term in problem for part in answer_parts(term))


# Identity


def value(term, x):
    kind, a, p, f = term
    if kind == "power":
        return a * x**p
    if kind == "inverse":
        return a / x
    g = getattr(math, f)(p * x)
    return a * g if kind == "simple" else a * x * g if kind == "parts" else (x + a) * g


def canonical(problem):
    """Equal for problems that are constant multiples of each other, however they are written."""
    return fingerprint([sum(value(t, x) for t in problem) for x in POINTS])


def fingerprint(values):
    scale = math.sqrt(sum(v * v for v in values))
    if not math.isfinite(scale) or scale < 1e-9:
        return None
    largest = max(values, key=abs)
    return tuple(round(v / math.copysign(scale, largest), 9) + 0.0 for v in values)


def well_formed(problem):
    """No two terms alike, and not nothing."""
    bodies = [integrand_part(t)[1] for t in problem]
    return len(set(bodies)) == len(bodies) > 0


# Random problems


# Small numbers are common and large ones rare, so that every level has easier and harder problems: rungs inside a level.


def number(rng, largest):
    return rng.choices(range(1, largest + 1), range(largest, 0, -1))[0]


def coefficient(rng):
    return number(rng, 9) * rng.choice([1, 1, 1, -1])


def random_power(rng, highest=6):
    return ("power", coefficient(rng), rng.randint(0, highest), None)


def rate(rng, f):
    return number(rng, 6) * (-1 if f == "exp" and rng.random() < 0.2 else 1)


def random_simple(rng):
    f = rng.choice(FUNCTIONS)
    return ("simple", coefficient(rng), rate(rng, f), f)


def random_parts(rng):
    _, a, k, f = random_simple(rng)
    return ("parts", a, k, f)


def random_shifted(rng):
    _, _, k, f = random_simple(rng)
    return ("shifted", rng.choice([-1, 1]) * number(rng, 9), k, f)


def random_single(rng):
    return ("inverse", coefficient(rng), 0, None) if rng.random() < 0.15 else random_simple(rng)


def random_problem(rng, level):
    if level == 1:
        return [random_power(rng)]
    if level == 2:
        count = 3 if rng.random() < 0.3 else 2
        return [("power", coefficient(rng), n, None) for n in rng.sample(range(7), count)]
    if level == 3:
        return [random_single(rng)]
    if level == 6:
        return [random_shifted(rng) if rng.random() < 0.6 else random_parts(rng)]
    terms = {
        4: lambda: [random_single(rng), random_power(rng)],
        5: lambda: [random_simple(rng), random_simple(rng)],
        7: lambda: [random_parts(rng), random_simple(rng) if rng.random() < 0.4 else random_power(rng)],
        8: lambda: [random_parts(rng), random_simple(rng), random_power(rng)],
    }[level]()
    rng.shuffle(terms)
    return terms if well_formed(terms) else random_problem(rng, level)


# Rungs: one small step from a problem


def smaller(rng, n):
    """A number closer to 1 in size, same sign."""
    return n if abs(n) == 1 else int(math.copysign(rng.randint(1, abs(n) - 1), n))


def simpler_term(rng, term):
    kind, a, p, f = term
    choices = []
    if kind == "shifted":
        choices += [("parts", 1, p, f)] * 2
    if kind == "parts":
        choices.append(("simple", a, p, f))
    if kind != "shifted" and abs(a) > 1:
        choices.append((kind, smaller(rng, a), p, f))
    if kind == "power" and p > 0:
        choices.append((kind, a, rng.randint(0, p - 1), f))
    if f and abs(p) > 1:
        choices += [(kind, a, smaller(rng, p), f)] * 2
    if kind in ("simple", "inverse"):
        choices.append(random_power(rng, 3))
    return rng.choice(choices) if choices else None


def harder_term(rng, term, alone):
    kind, a, p, f = term
    if kind == "power":
        return rng.choice([(kind, a, min(6, p + rng.randint(1, 2)), f), random_single(rng)])
    if kind == "inverse":
        return random_simple(rng)
    steps = [(kind, a, int(math.copysign(min(6, abs(p) + 1), p)), f)]
    if kind == "simple":
        steps.append(("parts", a, p, f))
    if kind == "parts" and alone:
        steps.append(("shifted", a, p, f))
    return rng.choice(steps)


def similar_term(rng, term):
    kind, a, p, f = term
    if kind == "power":
        return random_power(rng)
    if kind == "inverse":
        return ("inverse", coefficient(rng), 0, None)
    choice = rng.choice(FUNCTIONS)
    if choice != f:
        return (kind, a, abs(p), choice)
    return (kind, a if kind == "shifted" else coefficient(rng), rate(rng, f), f)


def replace_one(rng, problem, change):
    i = rng.randrange(len(problem))
    term = change(problem[i])
    return None if term is None else problem[:i] + [term] + problem[i + 1 :]


def variant(rng, problem, kind):
    """An easier (`<`), similar (`~`) or harder (`>`) problem one small step away, or None."""
    result = attempt(rng, problem, kind)
    return result if result and well_formed(result) and canonical(result) != canonical(problem) else None


def attempt(rng, problem, kind):
    if kind == "~":
        return replace_one(rng, problem, lambda t: similar_term(rng, t))
    if kind == "<":
        if len(problem) > 1 and rng.random() < 0.5:
            i = rng.randrange(len(problem))
            return problem[:i] + problem[i + 1 :]
        return replace_one(rng, problem, lambda t: simpler_term(rng, t))
    products = sum(t[0] in ("parts", "shifted") for t in problem)
    if len(problem) < 3 and rng.random() < 0.5:
        draw = random_parts if not products and rng.random() < 0.3 else rng.choice([random_power, random_simple])
        term = draw(rng)
        return problem + [term] if all(t[0] != "shifted" for t in problem) else None
    harder = replace_one(rng, problem, lambda t: harder_term(rng, t, len(problem) == 1))
    return harder if sum(t[0] in ("parts", "shifted") for t in harder) <= 1 else None


# Verifier


class Malformed(Exception):
    """The text is no expression of the notation."""


class Parser:
    """Recursive descent over the notation; values are (f, f') at one point, by the rules of differentiation."""

    def __init__(self, text, x):
        self.text, self.at, self.x = text, 0, x

    def peek(self):
        return self.text[self.at : self.at + 1]

    def take(self, expected):
        if not self.text.startswith(expected, self.at):
            raise Malformed(self.text)
        self.at += len(expected)

    def whole(self):
        result = self.sum()
        if self.at != len(self.text):
            raise Malformed(self.text)
        return result

    def sum(self):
        total, first = (0.0, 0.0), True
        while first or self.peek() in ("+", "-"):
            sign = 1.0
            if self.peek() in ("+", "-"):
                sign = -1.0 if self.peek() == "-" else 1.0
                self.at += 1
            v, d = self.product()
            total, first = (total[0] + sign * v, total[1] + sign * d), False
        return total

    def product(self):
        v, d = self.factor()
        while self.peek() and self.peek() in "*/":
            operator = self.peek()
            self.at += 1
            w, e = self.factor()
            v, d = (v * w, d * w + v * e) if operator == "*" else (v / w, (d * w - v * e) / (w * w))
        return v, d

    def factor(self):
        v, d = self.atom()
        if self.peek() == "^":
            self.at += 1
            n = self.number()
            if n > 40:
                raise Malformed(self.text)
            v, d = v**n, n * v ** (n - 1) * d if n else 0.0
        return v, d

    def number(self):
        start = self.at
        while self.peek().isdigit():
            self.at += 1
        if not 0 < self.at - start < 7:
            raise Malformed(self.text)
        return int(self.text[start : self.at])

    def atom(self):
        if self.peek() == "x":
            self.at += 1
            return self.x, 1.0
        if self.peek() == "(":
            return self.parenthesis()
        for name, rule in RULES.items():
            if self.text.startswith(name + "(", self.at):
                self.at += len(name)
                v, d = self.parenthesis()
                w, slope = rule(v)
                return w, slope * d
        return float(self.number()), 0.0

    def parenthesis(self):
        self.take("(")
        result = self.sum()
        self.take(")")
        return result


RULES = {
    "sin": lambda v: (math.sin(v), math.cos(v)),
    "cos": lambda v: (math.cos(v), -math.sin(v)),
    "tan": lambda v: (math.tan(v), 1 + math.tan(v) ** 2),
    "exp": lambda v: (math.exp(v), math.exp(v)),
    "log": lambda v: (math.log(v), 1 / v),
    "sqrt": lambda v: (math.sqrt(v), 0.5 / math.sqrt(v)),
}
FAILURES = (Malformed, ValueError, ZeroDivisionError, OverflowError, RecursionError)


def evaluate(text):
    """(values, derivatives) at POINTS, or None if the text does not parse or is not finite there."""
    if len(text) > 120:
        return None
    try:
        pairs = [Parser(text, x).whole() for x in POINTS]
    except FAILURES:
        return None
    values, slopes = zip(*pairs)
    return (values, slopes) if all(map(math.isfinite, values + slopes)) else None


def is_antiderivative(integrand, text):
    """True if the derivative of `text` is `integrand` at every point."""
    f, g = evaluate(integrand), evaluate(text)
    if f is None or g is None:
        return False
    size = max(map(abs, f[0])) + 1e-9
    return all(abs(a - b) <= 1e-8 * size for a, b in zip(f[0], g[1]))


def canonical_text(text):
    """`canonical` of an expression in the notation, or None."""
    result = evaluate(text)
    return None if result is None else fingerprint(result[0])
