//! Where a tag's sums and products begin and end. Those of texts and lists may be far larger than what they are made of, so
//! [`super::source`] has each looked at.

/// A piece of a tag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    /// A word, a sign, or a text with its quotes.
    pub(super) word: &'a str,
    /// Whether an operand may end with it, so that a sign behind it is an operator between two.
    pub(super) operand: bool,
}

/// Words that bind less tightly than sums.
const ENDS: [&str; 8] = ["and", "or", "not", "in", "is", "if", "else", "recursive"];

/// A sum or product of two operands, the first of which may be one itself; or one operand of a `~`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    /// Its first piece.
    pub(super) first: usize,
    /// The `+` or `*` between its operands, or the `~` beside it.
    pub(super) sign: usize,
    /// Its last piece.
    pub(super) last: usize,
}

/// A chain of operators of one precedence that may not have ended yet.
#[derive(Debug, Clone, Copy)]
struct Chain {
    start: usize,
    /// Its last operator, if that makes texts or lists longer.
    sign: Option<usize>,
}

impl Chain {
    fn at(start: usize) -> Self {
        Self { start, sign: None }
    }
}

/// What is open between two brackets.
#[derive(Debug, Clone, Copy)]
struct Level {
    sum: Chain,
    product: Chain,
    /// The last `~`, if what follows is an operand of it.
    joined: Option<usize>,
    /// What follows `is` is the name of a test and its argument, no value.
    test: bool,
}

impl Level {
    fn at(start: usize) -> Self {
        Self { sum: Chain::at(start), product: Chain::at(start), joined: None, test: false }
    }
}

/// Every product with `*`, sum with `+` and operand of `~`, from piece `from` on; inner ones first. A chain of several operators is an
/// operation at each of them. Products bind more tightly than `~`, and `~` than sums.
pub(super) fn operations(pieces: &[Piece<'_>], from: usize) -> Vec<Operation> {
    let word = |index: usize| pieces.get(index).map_or(",", |piece| piece.word);
    let mut levels = vec![Level::at(from)];
    let mut found = Vec::new();
    for index in from..=pieces.len() {
        let binary = index > from && pieces[index - 1].operand;
        let Some(level) = levels.last_mut() else { return found };
        let mut close = |chain: Chain| {
            if let Some(sign) = chain.sign.filter(|sign| !level.test && sign + 1 < index) {
                found.push(Operation { first: chain.start, sign, last: index - 1 });
            }
        };
        // The operand behind the last `~` ends as its last product does.
        let operand = |level: &Level| {
            let first = level.product.start;
            level.joined.filter(|_| first < index).map(|sign| Operation { first, sign, last: index - 1 })
        };
        match word(index) {
            "(" | "[" | "{" => levels.push(Level::at(index + 1)),
            // A power is an operand.
            "*" if word(index + 1) == "*" => {}
            sign @ ("*" | "/" | "%") if binary => {
                close(level.product);
                level.product.sign = Some(index).filter(|_| sign == "*");
            }
            sign @ ("+" | "-") if binary => {
                close(level.product);
                let joined = operand(level);
                close(level.sum);
                found.extend(joined);
                level.sum.sign = Some(index).filter(|_| sign == "+");
                level.product = Chain::at(index + 1);
                level.joined = None;
            }
            "~" => {
                close(level.product);
                level.joined = Some(index);
                found.extend(operand(level));
                level.product = Chain::at(index + 1);
            }
            ")" | "]" | "}" => {
                close(level.product);
                let joined = operand(level);
                close(level.sum);
                found.extend(joined);
                levels.pop();
            }
            "," | ":" | "=" | "<" | ">" | "!" => {
                close(level.product);
                let joined = operand(level);
                close(level.sum);
                found.extend(joined);
                *level = Level::at(index + 1);
            }
            // It binds more tightly than any operator: `a + b is c` adds a truth value to `a`, and what ends there is small.
            "is" if binary && pieces[index - 1].word != "." => level.test = true,
            "not" if level.test => {}
            // A member may have such a name.
            word if ENDS.contains(&word) && !(index > from && pieces[index - 1].word == ".") => {
                close(level.product);
                let joined = operand(level);
                close(level.sum);
                found.extend(joined);
                *level = Level::at(index + 1);
            }
            _ => {}
        }
    }
    found
}
