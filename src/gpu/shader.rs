//! Shader text: constants and imports put before a WGSL file, and the bindings read from it.
//!
//! A shader file starts with its formula, then `//! use NAME` for each file of `shaders/include/` that it needs.
//! A [`Variant`] adds constants (tile sizes, head size) and further imports (the weight format).
//!
//! A loop `for (var i = 0u; i < N; i++) { // unroll` is written out N times, N a constant of the variant or a number.
//! Loops that go through WebGPU's checks are seldom unrolled by drivers, and an array that such a loop indexes then lies in
//! memory instead of in registers.

use std::fmt::Write as _;

/// An entry point of a shader file, with the bindings that it uses, in the order the host gives them.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    /// Stem of the shader file.
    pub stem: &'static str,
    /// The file's text.
    pub source: &'static str,
    /// The entry point.
    pub entry: &'static str,
    /// Names of the storage bindings used.
    pub bindings: &'static [&'static str],
    /// The fields of `Params` as `(name, WGSL type)`, for the test that compares them with the shader's.
    pub params: &'static [(&'static str, &'static str)],
}

impl Kernel {
    /// The name in profiles and error messages.
    pub fn label(&self) -> String {
        format!("{}/{}", self.stem, self.entry)
    }
}

/// What is put before a shader's text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Variant {
    /// `const NAME: u32 = value;` lines.
    pub constants: Vec<(&'static str, u32)>,
    /// Files of `shaders/include/`, without `.wgsl`.
    pub imports: Vec<&'static str>,
}

impl Variant {
    /// A variant with these constants and no further import.
    pub fn constants(constants: &[(&'static str, u32)]) -> Self {
        Self { constants: constants.to_vec(), imports: Vec::new() }
    }

    /// The variant with one more import.
    pub fn import(mut self, name: &'static str) -> Self {
        self.imports.push(name);
        self
    }
}

/// The text of `shaders/STEM.wgsl`; in a browser's module without comments, as the build script writes it.
#[cfg(not(target_arch = "wasm32"))]
macro_rules! shader_text {
    ($($stem:expr),+) => { include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $($stem,)+ ".wgsl")) };
}
#[cfg(target_arch = "wasm32")]
macro_rules! shader_text {
    ($($stem:expr),+) => { include_str!(concat!(env!("OUT_DIR"), "/shaders/", $($stem,)+ ".wgsl")) };
}
pub(crate) use shader_text;

macro_rules! includes {
    ($($name:literal),* $(,)?) => {
        /// The files of `shaders/include/`.
        pub const INCLUDES: &[(&str, &str)] =
            &[$(($name, shader_text!("include/", $name))),*];
    };
}

includes![
    "grid",
    "reduce",
    "reduce_subgroups",
    "attention_cached",
    "attention_span",
    "attention_tiles",
    "segments",
    "share",
    "lora_sites",
    "row_per_lane",
    "row_per_load",
    "weight_f32",
    "weight_f16",
    "weight_q8",
    "weight_q8x2",
    "weight_q4",
    "weight_iq4",
    "weight_nf4",
    "weight_q2x2",
    "product_f32",
    "product_f16",
    "plain",
    "adapted",
    "adapted_lanes",
    "input_plain",
    "input_normed",
    "input_swiglu",
    "keep_nothing",
    "keep_input",
    "few_output",
    "few_swiglu",
    "silu",
    "gelu_tanh",
    "coop8",
    "coop16",
    "tiles_f16",
    "tiles_f16x4",
    "cache_f32",
    "cache_f16",
    "halves",
    "random"
];

/// The import with which a workgroup reduces.
const REDUCE: &str = "reduce";
/// The import that takes its place where the device has subgroups.
const REDUCE_SUBGROUPS: &str = "reduce_subgroups";

/// What a file imports by itself.
fn imports(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| line.strip_prefix("//! use ")).map(str::trim)
}

/// The variant for a device with subgroups; `None` if the file has no use for them.
pub fn with_subgroups(source: &str, variant: &Variant) -> Option<Variant> {
    imports(source).any(|import| import == REDUCE).then(|| variant.clone().import(REDUCE_SUBGROUPS))
}

/// The whole WGSL text of a kernel's file in one variant, `enable` directives first, where WGSL wants them. Unknown imports
/// become a WGSL error that names them.
pub fn compose(source: &str, variant: &Variant) -> String {
    let mut text = String::new();
    for (name, value) in &variant.constants {
        let _ = writeln!(text, "const {name}: u32 = {value}u;");
    }
    let replaced = |import: &str| import == REDUCE && variant.imports.contains(&REDUCE_SUBGROUPS);
    for import in imports(source).filter(|import| !replaced(import)).chain(variant.imports.iter().copied()) {
        match INCLUDES.iter().find(|(name, _)| *name == import) {
            Some((_, include)) => text.push_str(include),
            None => {
                let _ = writeln!(text, "unknown import {import}");
            }
        }
    }
    text.push_str(source);
    let (enables, lines): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("enable "));
    let mut out = String::with_capacity(text.len());
    for line in enables {
        let _ = writeln!(out, "{line}");
    }
    unroll(&lines, &variant.constants, &mut out);
    out
}

/// Copies lines and writes out the loops marked `// unroll`: a block for each turn, in which the counter is a constant.
fn unroll(lines: &[&str], constants: &[(&str, u32)], out: &mut String) {
    let mut at = 0;
    while let Some(&line) = lines.get(at) {
        at += 1;
        // A mark that is no such loop stays as it is; the test of all shaders finds it.
        let Some((counter, count)) = unrolled(line, constants) else {
            let _ = writeln!(out, "{line}");
            continue;
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = lines[at..].iter().position(|next| next.strip_prefix(indent) == Some("}"));
        let body = &lines[at..at + end.unwrap_or(lines.len() - at)];
        for turn in 0..count {
            let _ = writeln!(out, "{indent}{{ const {counter} = {turn}u;");
            unroll(body, constants, out);
            let _ = writeln!(out, "{indent}}}");
        }
        at += body.len() + 1;
    }
}

/// Counter and number of turns of `for (var i = 0u; i < N; i++) { // unroll`.
fn unrolled<'l>(line: &'l str, constants: &[(&str, u32)]) -> Option<(&'l str, u32)> {
    let head = line.trim().strip_prefix("for (var ")?.strip_suffix(" { // unroll")?;
    let (counter, rest) = head.split_once(" = 0u; ")?;
    let limit = rest.strip_prefix(counter)?.strip_prefix(" < ")?;
    let limit = limit.strip_suffix("++)")?.strip_suffix(counter)?.strip_suffix("; ")?;
    let named = constants.iter().find(|(name, _)| *name == limit).map(|(_, value)| *value);
    let count = named.or_else(|| limit.strip_suffix('u')?.parse().ok())?;
    Some((counter, count))
}

/// One `@group(0) @binding(n) var<..> name: type;` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingLine {
    /// Binding number.
    pub number: u32,
    /// Variable name.
    pub name: String,
    /// Whether the shader writes it.
    pub writes: bool,
    /// Whether it is the uniform block.
    pub uniform: bool,
}

/// The bindings declared in a composed text, in order of number.
pub fn bindings(text: &str) -> Vec<BindingLine> {
    let mut found: Vec<BindingLine> = text
        .lines()
        .filter_map(|line| {
            let rest = line.strip_prefix("@group(0) @binding(")?;
            let (number, rest) = rest.split_once(')')?;
            let rest = rest.trim_start().strip_prefix("var<")?;
            let (access, rest) = rest.split_once('>')?;
            let (name, _) = rest.split_once(':')?;
            Some(BindingLine {
                number: number.trim().parse().ok()?,
                name: name.trim().to_string(),
                writes: access.contains("read_write"),
                uniform: access.trim() == "uniform",
            })
        })
        .collect();
    found.sort_by_key(|binding| binding.number);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composes_constants_imports_and_text() {
        let variant = Variant::constants(&[("TILE", 8)]).import("weight_q4");
        let text =
            compose("//! use grid\n@group(0) @binding(3) var<storage, read> x: array<f32>;\n", &variant);
        assert!(text.starts_with("const TILE: u32 = 8u;\n"));
        assert!(text.contains("fn group_index("));
        let names: Vec<String> = bindings(&text).into_iter().map(|b| b.name).collect();
        assert_eq!(names, ["w", "w_scale", "x"]);
    }

    #[test]
    fn subgroups_take_the_place_of_the_plain_reduction() {
        let plain = Variant::constants(&[("WG", 64)]);
        let source = "//! use grid\n//! use reduce\n";
        let variant = with_subgroups(source, &plain);
        let text = variant.map(|variant| compose(source, &variant)).unwrap_or_default();
        assert!(text.contains("subgroupAdd(") && text.matches("fn reduce_sum(").count() == 1, "{text}");
        assert!(!compose(source, &plain).contains("subgroup"));
        assert_eq!(with_subgroups("//! use grid\n", &plain), None);
    }

    #[test]
    fn enables_stand_first() {
        let variant = Variant::constants(&[("TILE", 8)]).import("product_f16");
        let text = compose("//! use grid\nfn f() {}\n", &variant);
        assert!(text.starts_with("enable f16;\nconst TILE: u32 = 8u;\n"));
        assert_eq!(text.matches("enable f16;").count(), 1);
    }

    #[test]
    fn writes_marked_loops_out() {
        let variant = Variant::constants(&[("N", 2)]);
        let source = "\
for (var i = 0u; i < N; i++) { // unroll
    for (var j = 0u; j < 1u; j++) { // unroll
        f(i, j);
    }
}
for (var i = 0u; i < N; i++) {
    g(i);
}
";
        let want = "\
const N: u32 = 2u;
{ const i = 0u;
    { const j = 0u;
        f(i, j);
    }
}
{ const i = 1u;
    { const j = 0u;
        f(i, j);
    }
}
for (var i = 0u; i < N; i++) {
    g(i);
}
";
        assert_eq!(compose(source, &variant), want);
    }
}
