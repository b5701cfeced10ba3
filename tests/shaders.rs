//! Every shader in every variant, checked without a GPU against the rules that let it run on any WebGPU device.
//! The composed texts are left in `wgsl/` of the target folder for the check with Chromium's compiler, those that only naga
//! knows (cooperative matrices) in `wgsl/native/`, which that check counts and leaves out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use naga::valid::{Capabilities, GlobalUse, ValidationFlags, Validator};
use naga::{AddressSpace, Scalar, StorageAccess, TypeInner};
use stepladder::gpu::shader::{bindings, compose};
use stepladder::gpu::{Kernel, Variant};
use stepladder::kernel;

/// WebGPU's default limits.
const STORAGE_BUFFERS: usize = 8;
const INVOCATIONS: u32 = 256;
const WORKGROUP_SIZE: [u32; 3] = [256, 256, 64];
const WORKGROUP_BYTES: u32 = 16_384;

/// Workgroup memory of devices with cooperative matrices, as `Gpu::coop` demands it.
const COOP_BYTES: u32 = 32_768;

/// Whether a text needs subgroups. naga takes them as they are; Tint wants them enabled.
fn uses_subgroups(text: &str) -> bool {
    text.contains("subgroupAdd(")
        || text.contains("subgroupBroadcast(")
        || text.contains("@builtin(subgroup_")
}

/// Whether a text needs cooperative matrices, which are no part of WebGPU.
fn uses_coop(text: &str) -> bool {
    text.contains("enable wgpu_cooperative_matrix;")
}

/// Every broken rule of one entry point, in words. `optional` is what a device need not have and this one has.
fn problems(kernel: &Kernel, text: &str, optional: Capabilities) -> Vec<String> {
    let module = match naga::front::wgsl::parse_str(text) {
        Ok(module) => module,
        Err(error) => return vec![error.emit_to_string_with_path(text, kernel.stem)],
    };
    // `unpack2x16float` is core WebGPU; naga counts it as a capability because OpenGL ES may lack it.
    let mut capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32 | optional;
    capabilities.set(Capabilities::SUBGROUP, uses_subgroups(text));
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    if uses_subgroups(text) {
        validator
            .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
            .subgroup_operations(naga::valid::SubgroupOperationSet::all());
    }
    let info = match validator.validate(&module) {
        Ok(info) => info,
        Err(error) => return vec![error.emit_to_string_with_path(text, kernel.stem)],
    };
    let Some(index) = module.entry_points.iter().position(|entry| entry.name == kernel.entry) else {
        return vec![format!("no entry point `{}`", kernel.entry)];
    };
    let entry = &module.entry_points[index];
    let uses = info.get_entry_point(index);
    let mut found = params_problems(kernel, &module);
    found.extend(blank_in_loops(text).into_iter().map(|name| {
        format!("`var {name}` in a loop has no initialiser: compiled by Tint it may keep its old value")
    }));
    if text.contains("// unroll") {
        found.push("a loop marked `// unroll` was not written out".into());
    }

    let size = entry.workgroup_size;
    if size.iter().product::<u32>() > INVOCATIONS || (0..3).any(|axis| size[axis] > WORKGROUP_SIZE[axis]) {
        found.push(format!("workgroup size {size:?} exceeds {INVOCATIONS} threads or {WORKGROUP_SIZE:?}"));
    }
    let shared: u32 = module
        .global_variables
        .iter()
        .filter(|(handle, global)| global.space == AddressSpace::WorkGroup && !uses[*handle].is_empty())
        .map(|(_, global)| module.types[global.ty].inner.size(module.to_ctx()))
        .sum();
    let most = if uses_coop(text) { COOP_BYTES } else { WORKGROUP_BYTES };
    if shared > most {
        found.push(format!("{shared} bytes of workgroup memory exceed {most}"));
    }

    // What the host reads from the text, by name.
    let lines: BTreeMap<String, _> = bindings(text)
        .into_iter()
        .filter(|line| !line.uniform)
        .map(|line| (line.name.clone(), line))
        .collect();
    let mut used = BTreeSet::new();
    for (handle, global) in module.global_variables.iter() {
        let AddressSpace::Storage { access } = global.space else { continue };
        let name = global.name.clone().unwrap_or_default();
        let Some(number) = global.binding.as_ref().map(|at| at.binding) else {
            found.push(format!("`{name}` has no binding number"));
            continue;
        };
        let writes = access.contains(StorageAccess::STORE);
        if lines.get(&name).is_none_or(|line| (line.number, line.writes) != (number, writes)) {
            found
                .push(format!("the host reads another number or access of `{name}` from its line than naga"));
        }
        if uses[handle].is_empty() {
            continue;
        }
        if writes && kernel.bindings.contains(&name.as_str()) && !uses[handle].contains(GlobalUse::WRITE) {
            found.push(format!("`{name}` is declared read_write and never written"));
        }
        used.insert(name);
    }
    // A weight format without scales leaves the binding for them idle and says so in the text.
    let idle = |name: &str| {
        text.lines().any(|line| line.contains(&format!("> {name}:")) && line.ends_with("// unused"))
    };
    let listed: BTreeSet<String> = kernel.bindings.iter().map(|name| (*name).to_string()).collect();
    for name in used.difference(&listed) {
        found.push(format!("uses `{name}`, which the host does not list"));
    }
    for name in listed.difference(&used).filter(|name| !idle(name)) {
        found.push(format!("lists `{name}`, which the shader does not use"));
    }
    let numbers: Vec<u32> =
        kernel.bindings.iter().filter_map(|name| lines.get(*name)).map(|line| line.number).collect();
    if !numbers.is_sorted_by(|a, b| a < b) {
        found.push(format!("binding numbers {numbers:?} do not rise in the host's order"));
    }
    if kernel.bindings.len() > STORAGE_BUFFERS {
        found.push(format!("{} storage buffers exceed {STORAGE_BUFFERS}", kernel.bindings.len()));
    }
    found
}

/// Names of the variables that a loop declares without an initialiser. WGSL clears them in every round; Tint was seen to leave
/// what the round before had put there.
fn blank_in_loops(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .fold(String::new(), |code, line| code + line + "\n");
    let (mut found, mut blocks, mut word, mut parens) = (Vec::new(), Vec::new(), String::new(), 0);
    // Whether the next brace opens a loop's body; the name after `var`, until `=` or `;` shows whether it has a value.
    let (mut loop_ahead, mut var_ahead, mut blank) = (false, false, None::<String>);
    for letter in code.chars() {
        if letter.is_alphanumeric() || letter == '_' {
            word.push(letter);
            continue;
        }
        match std::mem::take(&mut word) {
            word if word.is_empty() => {}
            word if matches!(&*word, "for" | "while" | "loop") => loop_ahead = true,
            word if word == "var" => var_ahead = true,
            word if var_ahead => (var_ahead, blank) = (false, Some(word)),
            _ => {}
        }
        match letter {
            '(' => parens += 1,
            ')' => parens -= 1,
            '{' if parens == 0 => blocks.push(std::mem::take(&mut loop_ahead)),
            '}' => drop(blocks.pop()),
            '=' => blank = None,
            ';' => found.extend(blank.take().filter(|_| blocks.contains(&true))),
            _ => {}
        }
    }
    found
}

/// Names, types, order and offsets of `Params` against the Rust struct, whose fields follow one another.
fn params_problems(kernel: &Kernel, module: &naga::Module) -> Vec<String> {
    let uniform = module.global_variables.iter().find(|(_, global)| global.space == AddressSpace::Uniform);
    let Some((_, uniform)) = uniform else {
        return vec!["no uniform block".to_string()];
    };
    let mut found = Vec::new();
    if uniform.binding.as_ref().is_none_or(|at| (at.group, at.binding) != (0, 0)) {
        found.push("the uniform block is not binding 0".to_string());
    }
    let TypeInner::Struct { members, .. } = &module.types[uniform.ty].inner else {
        found.push("the uniform block is not a struct".to_string());
        return found;
    };
    let shader: Vec<(String, String, u32)> = members
        .iter()
        .map(|member| {
            let kind = match module.types[member.ty].inner {
                TypeInner::Scalar(Scalar::U32) => "u32",
                TypeInner::Scalar(Scalar::F32) => "f32",
                TypeInner::Vector { size: naga::VectorSize::Quad, scalar: Scalar::U32 } => "U32x4",
                TypeInner::Vector { size: naga::VectorSize::Quad, scalar: Scalar::F32 } => "F32x4",
                _ => "no type that the host knows",
            };
            (member.name.clone().unwrap_or_default(), kind.to_string(), member.offset)
        })
        .collect();
    let mut offset = 0;
    let mut place = |(name, kind): &(&str, &str)| {
        let at = offset;
        offset += if kind.ends_with("x4") { 16 } else { 4 };
        ((*name).to_string(), (*kind).to_string(), at)
    };
    let host: Vec<(String, String, u32)> = kernel.params.iter().map(&mut place).collect();
    if shader != host {
        found.push(format!("Params differ (name, type, offset): shader {shader:?}, host {host:?}"));
    }
    found
}

/// What a device must have for a variant beyond what every WebGPU device has.
fn optional(variant: &Variant) -> Capabilities {
    if variant.imports.iter().any(|import| COOP.contains(import)) {
        return Capabilities::SHADER_FLOAT16 | Capabilities::COOPERATIVE_MATRIX;
    }
    match variant.imports.contains(&"product_f16") {
        true => Capabilities::SHADER_FLOAT16,
        false => Capabilities::empty(),
    }
}

/// The imports with which a variant uses cooperative matrices.
const COOP: [&str; 2] = ["coop8", "coop16"];

fn wgsl_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("wgsl")
}

#[test]
fn every_variant_of_every_kernel_is_valid() {
    let folder = wgsl_folder();
    std::fs::create_dir_all(folder.join("native")).unwrap();
    let mut found = Vec::new();
    let mut counts = BTreeMap::<String, usize>::new();
    for (kernel, variant) in kernel::all() {
        let text = compose(kernel.source, &variant);
        let label = kernel.label();
        let number = counts.entry(label.clone()).or_default();
        let folder = if uses_coop(&text) { folder.join("native") } else { folder.clone() };
        let name = format!("{}-{}-{number}.wgsl", kernel.stem, kernel.entry);
        let file = folder.join(name.replace('/', "_"));
        *number += 1;
        let enable = if uses_subgroups(&text) { "enable subgroups;\n" } else { "" };
        std::fs::write(file, format!("// entry: {}\n{enable}{text}", kernel.entry)).unwrap();
        found.extend(
            problems(&kernel, &text, optional(&variant))
                .into_iter()
                .map(|problem| format!("{label} {:?} {:?}: {problem}", variant.constants, variant.imports)),
        );
    }
    assert!(counts.len() > 20, "only {} kernels found", counts.len());
    assert!(found.is_empty(), "{} problems:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_entry_point_of_a_shader_has_a_kernel() {
    let mut listed = BTreeMap::<&str, BTreeSet<String>>::new();
    let mut texts = BTreeMap::new();
    for (kernel, variant) in kernel::all() {
        listed.entry(kernel.stem).or_default().insert(kernel.entry.to_string());
        texts.insert(kernel.stem, compose(kernel.source, &variant));
    }
    for (stem, text) in texts {
        let module = naga::front::wgsl::parse_str(&text).unwrap();
        let declared: BTreeSet<String> = module.entry_points.into_iter().map(|entry| entry.name).collect();
        assert_eq!(listed[stem], declared, "{stem}");
    }
    let files = shaders("");
    let stems: BTreeSet<String> = listed.keys().map(|stem| (*stem).to_string()).collect();
    assert_eq!(files, stems, "files of shaders/ and stems of kernel::all()");
}

/// The stems of the shaders in a folder of shaders/, but for those that others include.
fn shaders(folder: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders").join(folder);
    let mut stems = BTreeSet::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{folder}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() && name != "include" {
            stems.extend(shaders(&format!("{name}/")));
        }
        stems.extend(name.strip_suffix(".wgsl").map(String::from));
    }
    stems
}

const GOOD: &str = "\
const WG: u32 = 64u;
struct Params { rows: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;   // [rows]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;   // [rows]
var<workgroup> scratch: array<f32, WG>;
@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let i = group.x * WG + thread;
    scratch[thread] = x[i] * p.scale;
    workgroupBarrier();
    if i < u32(p.rows) { y[i] = scratch[WG - 1u - thread]; }
}
";

const GOOD_KERNEL: Kernel = Kernel {
    stem: "good",
    source: GOOD,
    entry: "forward",
    bindings: &["x", "y"],
    params: &[("rows", "u32"), ("scale", "f32")],
};

#[test]
fn a_good_shader_has_no_problem() {
    assert_eq!(problems(&GOOD_KERNEL, GOOD, Capabilities::empty()), Vec::<String>::new());
    let idle = GOOD.replace(
        "// [rows]\nvar",
        "// [rows]\n@group(0) @binding(3) var<storage, read> w: array<f32>;   // unused\nvar",
    );
    let kernel = Kernel { bindings: &["x", "y", "w"], ..GOOD_KERNEL };
    assert_eq!(problems(&kernel, &idle, Capabilities::empty()), Vec::<String>::new());
}

/// (part of the message, text to replace, replacement)
const BAD: &[(&str, &str, &str)] = &[
    ("expected", "workgroupBarrier();", "workgroupBarrier()"),
    ("good:", "x[i] * p.scale", "x[i] * p.rows"),
    ("FLOAT16", "const WG", "enable f16;\nvar<private> half: f16;\nconst WG"),
    ("Params differ", "rows: u32, scale: f32", "scale: f32, rows: u32"),
    ("Params differ", "scale: f32", "scale: f32, more: f32"),
    ("Params differ", "rows: u32, scale", "rows: i32, scale"),
    ("Params differ", "scale: f32", "@align(16) scale: f32"),
    ("not binding 0", "@binding(0)", "@binding(7)"),
    ("no entry point", "fn forward", "fn backward"),
    ("host does not list", "x[i] *", "x[i] * h[i] *"),
    ("does not use", "x[i] *", "2.0 *"),
    ("another number or access", "var<storage, read_write> y", "var <storage, read_write> y"),
    ("never written", "<storage, read> x", "<storage, read_write> x"),
    ("do not rise", "@binding(1)", "@binding(3)"),
    ("was not written out", "if i < u32", "for (var l = 0u; l < p.rows; l++) { // unroll\n}\nif i < u32"),
    ("keep its old value", "if i < u32", "for (var l = 0u; l < p.rows; l++) { var t: f32; }\nif i < u32"),
    ("workgroup size", "64u", "512u"),
    ("workgroup memory", "array<f32, WG>", "array<f32, 5000>"),
];

#[test]
fn variables_that_a_loop_leaves_blank_are_found() {
    let fine = "var<workgroup> a: f32;
        fn f() {
            var b: f32; // var c: f32;
            for (var i = 0u; i < 4u; i++) { var d: array<f32, 4> = array<f32, 4>(); let e = d[i]; }
            if b == 0.0 { var g: f32; }
            loop { let h = 1u; continuing { break if h == 1u; } }
            var i: u32;
        }";
    assert_eq!(blank_in_loops(fine), Vec::<String>::new());
    for (round, body) in [
        ("for (var i = 0u; i < 4u; i++)", "var x: f32;"),
        ("for (var i = f(2u); i < g(h(4u)); i++)", "{ var x: array<vec2<f32>, A * B>; }"),
        ("while y > 1.0", "if y == 2.0 { var x : f32 ; }"),
        ("loop", "y = 1.0; var x: f32; x = y; continuing { break if true; }"),
        ("for (;;)", "while true { for (var x: u32; x < 4u; x++) {} }"),
    ] {
        let text = format!("fn f() {{ var y: f32; {round} {{ {body} }} var z: f32; }}");
        assert_eq!(blank_in_loops(&text), ["x"], "{text}");
    }
}

#[test]
fn every_rule_catches_a_shader_that_breaks_it() {
    for (message, from, to) in BAD {
        let mut text = GOOD.replace(from, to);
        assert_ne!(text, GOOD, "`{from}` is not in the text");
        if text.contains("h[i]") {
            text.push_str("@group(0) @binding(9) var<storage, read> h: array<f32>;\n");
        }
        let found = problems(&GOOD_KERNEL, &text, Capabilities::empty());
        assert!(found.iter().any(|problem| problem.contains(message)), "`{to}`: {found:?}");
    }
    let kernel = Kernel { bindings: &["x", "y", "a", "b", "c", "d", "e", "f", "g"], ..GOOD_KERNEL };
    let found = problems(&kernel, GOOD, Capabilities::empty());
    assert!(found.iter().any(|problem| problem.contains("9 storage buffers")));
}
