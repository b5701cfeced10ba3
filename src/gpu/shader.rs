//! Shader text: constants and imports put before a WGSL file, and the bindings read from it.
//!
//! A shader file starts with its formula, then `//! use NAME` for each file of `shaders/include/` that it needs.
//! A [`Variant`] adds constants (tile sizes, head size) and further imports (the weight format).

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

    /// The same with one more import.
    pub fn import(mut self, name: &'static str) -> Self {
        self.imports.push(name);
        self
    }
}

macro_rules! includes {
    ($($name:literal),* $(,)?) => {
        /// The files of `shaders/include/`.
        pub const INCLUDES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../shaders/include/", $name, ".wgsl")))),*];
    };
}

includes!["grid", "reduce", "weight_f32", "weight_f16", "weight_q8", "weight_q8x2", "weight_q4", "random"];

/// The whole WGSL text of a kernel's file in one variant. Unknown imports become a WGSL error that names them.
pub fn compose(source: &str, variant: &Variant) -> String {
    let mut text = String::new();
    for (name, value) in &variant.constants {
        let _ = writeln!(text, "const {name}: u32 = {value}u;");
    }
    let own = source.lines().filter_map(|line| line.strip_prefix("//! use ")).map(str::trim);
    for import in own.chain(variant.imports.iter().copied()) {
        match INCLUDES.iter().find(|(name, _)| *name == import) {
            Some((_, include)) => text.push_str(include),
            None => {
                let _ = writeln!(text, "unknown import {import}");
            }
        }
    }
    text.push_str(source);
    text
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
}
