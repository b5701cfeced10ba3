#!/usr/bin/env python3
"""Answers to integrals by rule, right ones and lies, each judged without the verifier: by exact derivatives (SymPy) evaluated with 40
digits (mpmath). Writes tests/data/lies.tsv, which a test replays.

    python3 scripts/torture/lies.py [SEED] [ROWS] > tests/data/lies.tsv

A line is problem, answer, truth; an empty problem is that of the line before. The truth is `right`, `wrong`, or `either` for what the
rules leave open: decimals that are rounded in the last digits, and antiderivatives that jump where the integrand is continuous because
they have to (`atan(tan(x/2))`). Needs sympy and mpmath.
"""
import random
import re
import sys

import mpmath as mp
import sympy as sp

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 13
ROWS = int(sys.argv[2]) if len(sys.argv) > 2 else 10000
mp.mp.dps = 40
rng = random.Random(SEED)
x = sp.symbols("x", real=True)
NAMES = dict(
    x=x, e=sp.E, pi=sp.pi, abs=sp.Abs, log=sp.log, ln=sp.log, sign=sp.sign, erf=sp.erf,
    **{name: getattr(sp, name) for name in "sin cos tan sec csc cot asin acos atan sinh cosh tanh asinh acosh atanh exp sqrt".split()},
)


def read(text):
    return sp.sympify(re.sub(r"(?<![\w.])(\d+\.\d+)(?![\w.])", r"Rational('\1')", text.replace("^", "**")),
                      locals={**NAMES, "Rational": sp.Rational})


def written(expr):
    return str(expr).replace("**", "^").replace("Abs", "abs").replace("E^", "e^").replace(" ", "")


# ---- problems with an antiderivative: text of the antiderivative, and further right forms of it
def n(low=2, high=9):
    return rng.randint(low, high)


def solved():
    a, b, c, k = n(), n(), n(), n(2, 5)
    return rng.choice([
        lambda: (f"{a}*x^{k}/{b}-{c}*x", [f"({a}*x^{k}-{b*c}*x)/{b}", f"x*({a}*x^{k-1}/{b}-{c})"]),
        lambda: (f"{a}*log(abs(x-{b}))", [f"{a}*log(x-{b})", f"{a}*log({b}-x)", f"{a}*log({c}*x-{b*c})", f"{a}*log((x-{b})^2)/2"]),
        lambda: (f"log(abs((x-{a})/(x+{b})))/{a+b}", [f"(log(x-{a})-log(x+{b}))/{a+b}", f"-log(abs((x+{b})/(x-{a})))/{a+b}", f"log(({a}-x)/(x+{b}))/{a+b}"]),
        lambda: (f"atan(x/{a})/{a}", [f"-atan({a}/x)/{a}", f"atan(x/{a})/{a}+pi/7", f"asin(x/sqrt(x^2+{a*a}))/{a}"]),
        lambda: (f"asin(x/{a})", [f"-acos(x/{a})", f"atan(x/sqrt({a*a}-x^2))"]),
        lambda: (f"(x-{a})*exp(x/{b})", [f"exp(x/{b})*x-{a}*e^(x/{b})", f"(x-{a})/exp(-x/{b})"]),
        lambda: (f"exp({a}*x)*({a}*sin({b}*x)-{b}*cos({b}*x))/{a*a+b*b}", [f"e^({a}*x)*sin({b}*x)*{a}/{a*a+b*b}-{b}*exp({a}*x)*cos({b}*x)/{a*a+b*b}"]),
        lambda: (f"sin({a}*x)^2/{b}", [f"-cos({a}*x)^2/{b}", f"-cos({2*a}*x)/{2*b}"]),
        lambda: (f"x/2-sin({2*a}*x)/{4*a}", [f"(x-sin({a}*x)*cos({a}*x)/{a})/2"]),
        lambda: (f"-log(abs(cos({a}*x)))/{a}", [f"-log(cos({a}*x))/{a}", f"log(abs(sec({a}*x)))/{a}", f"log(1+tan({a}*x)^2)/{2*a}"]),
        lambda: (f"tan({a}*x)/{a}-x", [f"sin({a}*x)/({a}*cos({a}*x))-x"]),
        lambda: (f"x^{k}*log(x)/{k}-x^{k}/{k*k}", [f"x^{k}*({k}*log(x)-1)/{k*k}", f"x^{k}*log({a}*x)/{k}-x^{k}/{k*k}-x^{k}*log({a})/{k}"]),
        lambda: (f"log(x)^{k}/{k}", [f"ln(x)^{k}/{k}"]),
        lambda: (f"sqrt(x^2+{a})", [f"(x^2+{a})/sqrt(x^2+{a})", f"(x^2+{a})^(1/2)"]),
        lambda: (f"asinh(x/{a})", [f"log(x+sqrt(x^2+{a*a}))", f"log(x/{a}+sqrt(x^2/{a*a}+1))"]),
        lambda: (f"2*(x+{a})^(3/2)/3", [f"2*(x+{a})*sqrt(x+{a})/3"]),
        lambda: (f"x*sqrt({a*a}-x^2)/2+{a*a}*asin(x/{a})/2", [f"(x*sqrt({a*a}-x^2)+{a*a}*atan(x/sqrt({a*a}-x^2)))/2"]),
        lambda: (f"cosh({a}*x)/{a}", [f"(exp({a}*x)+exp(-{a}*x))/{2*a}"]),
        lambda: (f"log(cosh({a}*x))/{a}", [f"log(exp({a}*x)+exp(-{a}*x))/{a}", f"x-log(tanh({a}*x)+1)/{a}"]),
        lambda: (f"x*atan(x)-log(1+x^2)/2", [f"x*atan(x)-log({a}+{a}*x^2)/2"]),
        lambda: (f"sqrt(pi)*erf({a}*x)/{2*a}", [f"-sqrt(pi)*(1-erf({a}*x))/{2*a}"]),
        lambda: (f"x*abs(x-{a})+{b}*x", [f"x*sqrt((x-{a})^2)+{b}*x"]),
        lambda: (f"exp(x^2/{a})*{b}", [f"{b}*e^(x^2/{a})"]),
        lambda: ("log(log(x))", ["log(abs(log(x)))", "log(-log(x))", f"log(abs({a}*log(x)))"]),
        lambda: (f"x*(sin(log(x))-cos(log(x)))/2", ["(x*sin(log(x))-x*cos(log(x)))/2"]),
        lambda: (f"log(x^2+{a}*x+{a*a})", [f"log({b}*x^2+{a*b}*x+{a*a*b})"]),
        lambda: (f"(x^2+{a})^{k}/{2*k}", []),
        lambda: (f"-1/({a}*(x+{b})^{k})", [f"-(x+{b})^-{k}/{a}"]),
        lambda: (f"sin(x)^{k}/{k}", []),
        lambda: (f"2*atan(tan(x/2)/sqrt({a*a}))/sqrt({a*a})", []),
        lambda: (f"{a}*x^({k}/3)", []),
        lambda: (f"log(abs(tan(x/2+pi/4)))", ["log(abs(sec(x)+tan(x)))", "-log(abs(sec(x)-tan(x)))"]),
    ])()


def neutral(answer):
    """The same function or another constant, by rule."""
    a = n()
    return rng.choice([
        f"{answer}+C", f"{answer}+{a}", f"{a}-{a}/2+{answer}", f"({a}*({answer}))/{a}", f"-(-({answer}))",
        f"{answer}+sin(x)^2+cos(x)^2", f"{answer}+log({a})", f"{answer}+0*x", f"{answer}+x-x",
    ])


# ---- lies
G = ["x", "x^2", "x^3", "sin(x)", "cos(3*x)", "exp(x)", "exp(-x)", "1/x", "atan(x)", "abs(x)", "x^7", "exp(-x^2)", "erf(x)", "tan(x)",
     "sinh(x)", "abs(x-1)", "log(x^2+1)", "x^-3"]
FUNCTIONS = "sin cos exp log tan sqrt abs atan sinh cosh asin".split()


def edited(answer):
    parts = re.findall(r"\d+|[a-z]+|.", answer)
    for _ in range(rng.randint(1, 2)):
        i = rng.randrange(len(parts))
        t = parts[i]
        if t.isdigit():
            parts[i] = rng.choice([str(int(t) + 1), str(max(0, int(t) - 1)), t + "0", str(int(t) * 2)])
        elif t in "+-":
            parts[i] = "-" if t == "+" else "+"
        elif t in "*/":
            parts[i] = "/" if t == "*" else "*"
        elif t in FUNCTIONS:
            parts[i] = rng.choice(FUNCTIONS)
        elif t == "x":
            parts[i] = rng.choice(["(-x)", "(x+1)", "(2*x)", "x^2", "abs(x)", "(1-x)"])
        elif t == "^":
            parts[i] = rng.choice(["*", "^-"])
    return "".join(parts)


def place():
    return f"{rng.choice([rng.uniform(-3, 3), rng.uniform(-90, 90), rng.uniform(100, 5000)]):.{rng.randint(0, 5)}f}"


def lie(f, answer):
    """A wrong answer with the places to look at."""
    c, size = place(), rng.choice(["1", "0.01", "1/1000", "1/10^5", "1/10^7", "1/10^9", "1/10^11"])
    width = rng.choice([1, 10, 1000, 10**5, 10**7])
    at = f"(x-({c}))"
    number, digits = rng.choice(re.findall(r"\d+", answer) or ["1"]), rng.choice(["00000001", "00000004", "0000000003", "000001"])
    kinds = [
        (4, lambda: f"{answer}+{size}*{rng.choice(G)}"),
        (3, lambda: edited(answer)),
        (2, lambda: f"{answer}+{size}*exp(-({width}*{at})^2)"),
        (1, lambda: f"{answer}+abs({at})-2*abs({at}-1/{width})+abs({at}-2/{width})"),
        (1, lambda: f"{answer}+abs{at}+{rng.choice(['x', '-x'])}"),
        (1, lambda: f"{answer}+{size}*sign{at}"),
        (1, lambda: f"{answer}+{size}*tanh({width}00*{at})"),
        (1, lambda: f"{answer}+atan({width}*{at})/{width}"),
        (1, lambda: rng.choice([f"{answer}+atan(tan(x))-x", f"{answer}+{size}*sign(sin(x))", f"{answer}+atan(x)+atan(1/x)"])),
        (1, lambda: f"{answer}+1.{digits}*x^{n(20, 60)}-x^{n(20, 60)}"),
        (1, lambda: (lambda p: f"{answer}+1.{digits}*x^{p}-x^{p}")(n(20, 60))),
        (1, lambda: f"{answer}+(x/{n(100, 3000)})^{n(300, 900)}"),
        (1, lambda: answer.replace(number, f"{number}.{digits}", 1)),
        (1, lambda: re.sub(r"\bx\b", f"(x+{size})", answer)),
        (1, lambda: f"({answer})*(1+{size})"),
        (1, lambda: f"{answer}+log(1+exp({width}*{at}))/{width}"),
        (1, lambda: re.sub(r"\blog\((?=[x\d(])", "log(-", answer) if "*log(" in answer or "log(x)^" in answer else edited(answer)),
        (1, lambda: f"{answer}+10^{n(6, 9)}*(sin(x)^2+cos(x)^2)+{size}*x"),
    ]
    return rng.choices([make for _, make in kinds], [weight for weight, _ in kinds])[0](), [c]


# ---- the judge
def function(expr):
    return sp.lambdify(x, expr, "mpmath")


def derivative_of(expr):
    """But for the points where a step is."""
    return sp.diff(expr, x).replace(sp.DiracDelta, lambda *_: sp.Integer(0))


def at(f, point):
    """A finite value, real where it is real to 30 digits, or None."""
    try:
        value = mp.mpmathify(f(point))
        if not mp.isfinite(value):
            return None
        value = mp.mpc(value)
        return value.real if abs(value.imag) <= mp.mpf(10) ** -30 * abs(value.real) else value
    except (ArithmeticError, ValueError, TypeError, AttributeError):
        return None


def points(places):
    found = [mp.mpf(rng.choice([rng.uniform(-3, 3), rng.uniform(-20, 20), rng.uniform(0.01, 8)])) for _ in range(16)]
    found += [mp.mpf(s) * mp.mpf(v) for s in (1, -1) for v in ("0.0713", "150.3", "2718.1")]
    for place in places:
        c = mp.mpf(place)
        for k in (0, 1, 3, 5, 7, 9):
            found += [c + mp.mpf("0.37") * mp.mpf(10) ** -k, c - mp.mpf("0.41") * mp.mpf(10) ** -k]
    return found


def judge(problem, answer, places, tolerance=mp.mpf(10) ** -18):
    """Whether the answer is an antiderivative wherever it is real, and continuous at the places where the problem is."""
    f, big = read(problem), read(answer)
    fs, value, slope = function(f), function(big), function(derivative_of(big))
    good = 0
    for point in points(places):
        want, has, derivative = at(fs, point), at(value, point), at(slope, point)
        if want is None or derivative is None or isinstance(want, mp.mpc):
            continue
        # Far out a huge term is known to fewer digits.
        equal = abs(derivative - want) <= tolerance * (abs(want) + mp.mpf(10) ** -12)
        if equal:
            good += 1
        elif has is not None and not isinstance(has, mp.mpc):
            return "wrong"
    if good == 0:
        return "wrong"
    for place in list(places) + ["0", mp.pi, -mp.pi / 2]:
        c, h = mp.mpf(place), mp.mpf(10) ** -25
        ends = [at(g, c + s * h) for g in (value, fs) for s in (-1, 1)]
        if all(end is not None and not isinstance(end, mp.mpc) for end in ends):
            left, right, f_left, f_right = ends
            if abs(right - left) > mp.mpf(10) ** -15 and abs(f_left) + abs(f_right) < mp.mpf(10) ** 6:
                return "jump"
    return "right"


def indefinite(rows):
    antiderivative, forms = solved()
    problem = written(derivative_of(read(antiderivative)))
    if any(word in problem for word in ("Derivative", "Piecewise", "zoo", "nan")) or problem == "0" or len(problem) > 160:
        return
    for form in [antiderivative, *forms]:
        for answer in {form, neutral(form)}:
            truth = judge(problem, answer.replace("+C", ""), [])
            if truth == "wrong":
                continue
            rows.append((problem, answer, "either" if truth == "jump" else "right"))
    for _ in range(8):
        try:
            answer, places = lie(problem, antiderivative)
            truth = judge(problem, answer, places)
        except (SyntaxError, TypeError, ValueError, AttributeError, NameError, RecursionError, sp.SympifyError):
            continue
        if truth == "jump":
            truth = "wrong" if answer.startswith(antiderivative) else "either"
        if truth == "right" and answer.startswith(antiderivative) and answer != antiderivative:
            # Added to, and yet no difference that 40 digits show at these points: left open.
            truth = "either"
        rows.append((problem, answer, truth))


def definite(rows):
    a, b, k = n(), n(), n(2, 6)
    c = rng.choice(["0.3", "0.123456", "1/3", "0.77"])
    width = 10 ** rng.randint(0, 7)
    r = n(2, 40)
    level, periods = f"{4 * k + n(1, k)}/{4 * k}", int(b / mp.pi)
    f, low, high, value = rng.choice([
        lambda: (f"x^{2*k-1}", f"-{r}", f"{r}", "0"),
        lambda: (f"x^{2*k-1}+{a}", f"-{r}00", f"{r}00", f"{2*a*r*100}"),
        lambda: (f"x*exp(x^2/{a})", f"-{k}", f"{k}", "0"),
        lambda: (f"sinh({a}*x)", "-5", "5", "0"),
        lambda: (f"{a}*x^{k}-x", "0", f"{b}", f"{a}*{b}^{k+1}/{k+1}-{b}^2/2"),
        lambda: (f"exp(-({width}*(x-{c}))^2)", "0", f"{b}", f"sqrt(pi)/{2*width}*(erf({width}*({b}-{c}))+erf({width}*{c}))"),
        lambda: (f"exp(-({width}*(x-{c}))^2)+{a}", "0", "1", f"{a}+sqrt(pi)/{2*width}*(erf({width}*(1-{c}))+erf({width}*{c}))"),
        lambda: (f"1/(1+({width}*(x-{c}))^2)", "0", f"{b}", f"(atan({width}*({b}-{c}))+atan({width}*{c}))/{width}"),
        lambda: (f"abs(x-{c})", "0", f"{b}", f"(({b}-{c})^2+{c}^2)/2"),
        lambda: (f"sign(x-{c})", "0", "1", f"1-2*{c}"),
        lambda: (f"x*abs(x-{c})", "0", "1", f"({c})^3/3-{c}/2+1/3"),
        lambda: (f"{a}*sign({k}*x-1)-x", "0", "1", f"{a}-2*{a}/{k}-1/2"),
        lambda: (f"abs(exp(x)-{level})", "0", "1", f"2*{level}*log({level})-3*{level}+1+e"),
        lambda: (f"abs(sin(x))", "0", f"{b}", f"{2*periods}+1-cos({b}-{periods}*pi)"),
        lambda: (f"abs(x^2-{level})", "0", "2", f"4*({level})^(3/2)/3-2*{level}+8/3"),
        lambda: (f"sin({a}*x)", "0", f"{k}*pi", f"(1-cos({a*k}*pi))/{a}"),
        lambda: (f"sin({a}*x)^2", "0", "2*pi", "pi"),
        lambda: (f"x*sin({a}*x)", "0", "pi", f"-pi*cos({a}*pi)/{a}"),
        lambda: (f"1/(x^2+{a*a})", "0", f"{a}", f"pi/{4*a}"),
        lambda: (f"log(x)", f"{a}", f"{a+b}", f"{a+b}*log({a+b})-{a}*log({a})-{b}"),
        lambda: (f"log(x)", "0", f"{b}", f"{b}*log({b})-{b}"),
        lambda: ("x^(-1/2)", "0", f"{b}", f"2*sqrt({b})"),
        lambda: (f"1/sqrt({a*a}-x^2)", f"-{a}", f"{a}", "pi"),
        lambda: (f"exp({a}*x)", f"{-k}", "1", f"(exp({a})-exp({-a*k}))/{a}"),
        lambda: (f"x*exp(-x/{a})", "0", f"{b}", f"{a*a}-{a}*({a}+{b})*exp(-{b}/{a})"),
        lambda: (f"tan(x)", "0", "pi/4", "log(2)/2"),
        # Divergent ones: no answer may be taken.
        lambda: (f"1/(x-{c})^2", "0", "1", None),
        lambda: (f"1/(x-{c})", "0", "1", None),
        lambda: (f"sec(x)^2", "0", f"{k}", None),
        lambda: (f"{a}/x^{k}", "-1", f"{b}", None),
        lambda: ("tan(x)", "1", "2", None),
    ])()
    problem = f"integrate({f},x,{low},{high})"
    if value is None:
        big = sp.integrate(read(f), x)
        naive = written(sp.simplify(big.subs(x, read(high)) - big.subs(x, read(low))))
        answers = {naive, "0", str(a)} if "I" not in naive and "zoo" not in naive and "nan" not in naive else {"0", str(a)}
        rows.extend((problem, answer, "wrong") for answer in sorted(answers))
        return
    exact = mp.mpf(sp.N(read(value), 40))
    check = mp.quad(function(read(f)), [mp.mpf(sp.N(read(low), 40)), mp.mpf(sp.N(read(high), 40))]) if width == 1 and "sign" not in f and "abs" not in f else exact
    if abs(check - exact) > mp.mpf(10) ** -6 * (1 + abs(exact)):
        raise SystemExit(f"{problem}: {check} {exact}")
    text = mp.nstr(exact, 13, min_fixed=-4, max_fixed=12, strip_zeros=False)
    answers = [value, f"({value})*{a}/{a}", f"{a}-{a}+{value}"]
    lies = [f"{value}+{eps}" for eps in ("1/10^3", "1/10^6", "1/10^8", "1/10^10")] + [f"-({value})-1/7", f"({value})*(1+1/10^7)", "0", f"{a}"]
    if exact != 0 and "e" not in text:
        answers.append(text)
        last = int(text[-1])
        lies.append(text[:-4] + str((int(text[-4]) + 1) % 10) + text[-3:-1] + str(last))
        lies.append(text[:6])
    for answer in answers + lies:
        given = mp.mpf(sp.N(read(answer), 40))
        if abs(given - exact) <= mp.mpf(10) ** -30 * (1 + abs(exact)):
            truth = "right"
        elif answer == text:
            truth = "right"
        elif abs(given - exact) <= mp.mpf(10) ** -13 * (1 + abs(exact)):
            truth = "either"
        else:
            truth = "wrong"
        rows.append((problem, answer, truth))


def main():
    rows, seen = [], set()
    while len(rows) < ROWS:
        found = []
        (definite if rng.random() < 0.3 else indefinite)(found)
        for row in found:
            if row[:2] not in seen:
                seen.add(row[:2])
                rows.append(row)
        print(len(rows), end="\r", file=sys.stderr)
    rows = rows[:ROWS]
    rows.sort(key=lambda row: row[0])
    print(f"# Answers to integrals by rule, judged by SymPy {sp.__version__} and mpmath {mp.__version__}: scripts/torture/lies.py {SEED} {ROWS}")
    print("# problem (empty: the one before)\tanswer\ttruth")
    last = None
    for problem, answer, truth in rows:
        print(f"{'' if problem == last else problem}\t{answer}\t{truth}")
        last = problem


main()
