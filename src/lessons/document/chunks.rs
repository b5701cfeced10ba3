//! A text in pieces that fit beside a question: of 256 to 512 tokens, cut between paragraphs, else sentences, else words.

use crate::Result;

/// Tokens from which on a piece ends where a paragraph does.
const ENOUGH: usize = 256;
/// Most tokens of a piece.
const MOST: usize = 512;
/// Longest document in bytes: an hour or so of questions and answers on a small GPU.
pub const MAX_BYTES: usize = 256 * 1024;

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The line on which it begins, from 1.
    pub line: usize,
    /// Its text.
    pub text: String,
}

/// The pieces of `text`; `count` tells the tokens of a part of it.
///
/// # Errors
/// Those of `count`.
pub fn chunks(text: &str, count: &dyn Fn(&str) -> Result<usize>) -> Result<Vec<Chunk>> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let (mut open, mut tokens, mut line) = (String::new(), 0, 1);
    let mut close = |open: &mut String, tokens: &mut usize, line: &mut usize| {
        // Blank lines before a piece are none of it.
        let blank = open.len() - open.trim_start().len();
        let begins = *line + lines(&open[..blank]);
        *line += lines(open);
        if !open.trim().is_empty() {
            chunks.push(Chunk { line: begins, text: open.trim().to_owned() });
        }
        open.clear();
        *tokens = 0;
    };
    for unit in units(text) {
        for (part, size) in fitting(unit, count)? {
            if tokens + size > MOST {
                close(&mut open, &mut tokens, &mut line);
            }
            open.push_str(part);
            tokens += size;
        }
        if tokens >= ENOUGH && lines(&open[open.trim_end().len()..]) > 1 {
            close(&mut open, &mut tokens, &mut line);
        }
    }
    close(&mut open, &mut tokens, &mut line);
    Ok(chunks)
}

fn lines(text: &str) -> usize {
    text.bytes().filter(|&byte| byte == b'\n').count()
}

/// The sentences and lines of a text, each with the space behind it; together they are the text.
fn units(text: &str) -> Vec<&str> {
    let (mut units, mut begin) = (Vec::new(), 0);
    let mut signs = text.char_indices().peekable();
    while let Some((_, sign)) = signs.next() {
        let ends = match sign {
            '\n' | '\u{3002}' | '\u{ff01}' | '\u{ff1f}' => true,
            // Not the point of a number.
            '.' | '!' | '?' => signs.peek().is_none_or(|(_, next)| next.is_whitespace()),
            _ => false,
        };
        if ends {
            while signs.next_if(|(_, next)| next.is_whitespace()).is_some() {}
            let end = signs.peek().map_or(text.len(), |&(at, _)| at);
            units.push(&text[begin..end]);
            begin = end;
        }
    }
    if begin < text.len() {
        units.push(&text[begin..]);
    }
    units
}

/// A sentence with its tokens, halved until each part fits.
fn fitting<'a>(unit: &'a str, count: &dyn Fn(&str) -> Result<usize>) -> Result<Vec<(&'a str, usize)>> {
    let (mut open, mut fitting) = (vec![unit], Vec::new());
    while let Some(part) = open.pop() {
        let tokens = count(part)?;
        match half(part).filter(|_| tokens > MOST) {
            Some(at) => {
                let (first, second) = part.split_at(at);
                open.extend([second, first]);
            }
            None => fitting.push((part, tokens)),
        }
    }
    Ok(fitting)
}

/// A place near the middle, behind a space if there is one; `None` in a single character.
fn half(part: &str) -> Option<usize> {
    let middle = (part.len() / 2..part.len()).find(|&at| part.is_char_boundary(at))?;
    let space = part[..middle].rfind(' ').map(|at| at + 1).filter(|&at| at > middle / 2);
    space.or(Some(middle)).filter(|&at| at > 0)
}
