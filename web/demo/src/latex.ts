// Problems such as `x*sin(2*x)+x^2` as LaTeX, by a parser of just this notation. What it does not know stays text: nothing
// that a model wrote reaches the typesetter without having been taken apart and written anew here.

const FUNCTIONS: Record<string, string> = {
  sin: "\\sin", cos: "\\cos", tan: "\\tan", sec: "\\sec", csc: "\\csc", cot: "\\cot",
  sinh: "\\sinh", cosh: "\\cosh", tanh: "\\tanh",
  asin: "\\arcsin", acos: "\\arccos", atan: "\\arctan", arcsin: "\\arcsin", arccos: "\\arccos", arctan: "\\arctan",
  log: "\\ln", ln: "\\ln",
};
const NAMES: Record<string, string> = { x: "x", e: "e", pi: "\\pi", C: "C", a: "a", b: "b", n: "n", t: "t", u: "u", y: "y" };
const LONGEST = 300;
const DEEPEST = 40;

/** What a piece of LaTeX needs parentheses for. */
type Kind = "sum" | "product" | "negative" | "power" | "atom";
interface Piece {
  text: string;
  kind: Kind;
  call?: { name: string; argument: string };
}

class Unknown extends Error {}

/** LaTeX of an expression, or nothing if it is not one. */
export function toLatex(source: string): string | undefined {
  return parse(source)?.text;
}

/** LaTeX of the integral of an expression over x. */
export function integralLatex(source: string): string | undefined {
  const piece = parse(source);
  return piece && `\\int ${piece.kind === "sum" ? wrapped(piece) : piece.text}\\,dx`;
}

function parse(source: string): Piece | undefined {
  if (source.length > LONGEST) return undefined;
  try {
    const parser = new Parser(tokens(source));
    const piece = parser.sum(0);
    return parser.done ? piece : undefined;
  } catch (error) {
    if (error instanceof Unknown) return undefined;
    throw error;
  }
}

function tokens(source: string): string[] {
  const found: string[] = [];
  const pattern = /\s*(?:(\d+(?:\.\d+)?)|([A-Za-z]+)|(\*\*|[-+*/^()]))/y;
  const text = source.trimEnd();
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text);
    if (!match) throw new Unknown();
    found.push(match[3] === "**" ? "^" : (match[1] ?? match[2] ?? match[3] ?? ""));
  }
  return found;
}

class Parser {
  #at = 0;

  constructor(private readonly tokens: string[]) {}

  get done(): boolean {
    return this.#at === this.tokens.length;
  }

  sum(depth: number): Piece {
    if (depth > DEEPEST) throw new Unknown();
    let left = this.#product(depth);
    for (;;) {
      const sign = this.#take("+") ? "+" : this.#take("-") ? "-" : undefined;
      if (sign === undefined) return left;
      const right = this.#product(depth);
      const inner = right.kind === "negative" || (sign === "-" && right.kind === "sum") ? wrapped(right) : right.text;
      left = { text: `${left.text}${sign}${inner}`, kind: "sum" };
    }
  }

  #product(depth: number): Piece {
    let left = this.#signed(depth);
    for (;;) {
      if (this.#take("/")) {
        const [top, negative] = left.kind === "negative" ? [left.text.slice(1), "-"] : [left.text, ""];
        left = { text: `${negative}\\frac{${top}}{${this.#signed(depth).text}}`, kind: negative ? "negative" : "product" };
        continue;
      }
      const times = this.#take("*");
      if (!times && !this.#startsFactor()) return left;
      left = joined(left, times ? this.#signed(depth) : this.#power(depth));
    }
  }

  #signed(depth: number): Piece {
    if (depth > DEEPEST) throw new Unknown();
    if (this.#take("+")) return this.#signed(depth + 1);
    if (!this.#take("-")) return this.#power(depth);
    const inner = this.#signed(depth + 1);
    return { text: `-${inner.kind === "sum" || inner.kind === "negative" ? wrapped(inner) : inner.text}`, kind: "negative" };
  }

  #power(depth: number): Piece {
    const base = this.#atom(depth);
    if (!this.#take("^")) return base;
    const exponent = this.#signed(depth + 1).text;
    // sin(x)^2 is written as the square of the sine.
    if (base.call) return { text: `${base.call.name}^{${exponent}}${base.call.argument}`, kind: "power" };
    return { text: `${base.kind === "atom" ? base.text : wrapped(base)}^{${exponent}}`, kind: "power" };
  }

  #atom(depth: number): Piece {
    const token = this.tokens[this.#at++];
    if (token === undefined) throw new Unknown();
    if (token === "(") {
      const inner = this.sum(depth + 1);
      if (!this.#take(")")) throw new Unknown();
      return inner;
    }
    if (/^\d/.test(token)) return { text: token, kind: "atom" };
    if (this.tokens[this.#at] === "(" && !Object.hasOwn(NAMES, token)) return this.#call(token, depth);
    const name = Object.hasOwn(NAMES, token) ? NAMES[token] : undefined;
    if (name === undefined) throw new Unknown();
    return { text: name, kind: "atom" };
  }

  #call(name: string, depth: number): Piece {
    this.#take("(");
    const inner = this.sum(depth + 1).text;
    if (!this.#take(")")) throw new Unknown();
    if (name === "sqrt") return { text: `\\sqrt{${inner}}`, kind: "atom" };
    if (name === "exp") return { text: `e^{${inner}}`, kind: "power" };
    if (name === "abs") return { text: `\\left|${inner}\\right|`, kind: "atom" };
    const known = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
    if (known === undefined) throw new Unknown();
    const argument = parenthesised(inner);
    return { text: `${known}${argument}`, kind: "power", call: { name: known, argument } };
  }

  #startsFactor(): boolean {
    return /^[A-Za-z0-9(]/.test(this.tokens[this.#at] ?? "");
  }

  #take(token: string): boolean {
    if (this.tokens[this.#at] !== token) return false;
    this.#at += 1;
    return true;
  }
}

function wrapped(piece: Piece): string {
  return parenthesised(piece.text);
}

/** Parentheses that grow only where there is something tall. */
function parenthesised(text: string): string {
  return /\\frac|\^/.test(text) ? `\\left(${text}\\right)` : `(${text})`;
}

function joined(left: Piece, right: Piece): Piece {
  const first = left.kind === "sum" ? wrapped(left) : left.text;
  const second = right.kind === "sum" || right.kind === "negative" ? wrapped(right) : right.text;
  // Digits beside digits would read as one number, and a fraction's bar hides a missing sign.
  const dot = /^[\d\\]?\d/.test(second) || second.startsWith("\\frac") ? "\\cdot " : /[a-z]$/i.test(first) && /^[a-z]/i.test(second) ? "\\," : "";
  return { text: `${first}${dot}${second}`, kind: left.kind === "negative" ? "negative" : "product" };
}
