// Compiles composed shaders with Tint, the WGSL compiler of Chromium, through Dawn's null backend: no GPU is needed.
//
//   node check.mjs FOLDER       every FOLDER/*.wgsl; those in FOLDER/native use what only naga knows and are only counted
//   node check.mjs -            a JSON list on standard input: [{"label": ..., "source": ...}]
//   node check.mjs --self-test  two good shaders must pass and five bad ones must fail
//
// A source whose first line is `// entry: forward, backward_x` has a compute pipeline made of each entry point named
// there; without that line, of each entry point that `@compute` marks. Prints every error with its label and line, then
// `N passed, N failed` (a shader is one case); exits 1 if any failed or there was none, 2 on bad usage.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals);

const FEATURES = ['shader-f16', 'subgroups'];

async function openDevice() {
  // Dawn frees everything when its instance is collected, so the caller keeps it beside the device.
  const gpu = create(['backend=null']);
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('Dawn offers no null adapter; is the package webgpu installed for this platform?');
  const missing = FEATURES.filter((feature) => !adapter.features.has(feature));
  if (missing.length > 0) throw new Error(`the null adapter lacks ${missing.join(', ')}`);
  const device = await adapter.requestDevice({ requiredFeatures: FEATURES });
  return { gpu, device };
}

/** Entry points named in the first line, else those that the source declares. */
function entryPoints(source) {
  const named = /^\/\/ entry:([^\n]*)/.exec(source);
  if (named) return named[1].split(',').map((name) => name.trim()).filter(Boolean);
  const code = source.replace(/\/\/[^\n]*/g, '').replace(/\/\*[\s\S]*?\*\//g, '');
  return [...code.matchAll(/@compute\b[^{;]*?\bfn\s+(\w+)/g)].map((match) => match[1]);
}

/** Problems found in one shader, each a line for people; empty if it is good. */
async function check(device, { label, source }) {
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ label, code: source });
  const info = await module.getCompilationInfo();
  const moduleError = await device.popErrorScope();
  const problems = info.messages
    .filter((message) => message.type === 'error')
    .map((message) => `${label}:${message.lineNum}:${message.linePos}: ${message.message}`);
  if (problems.length > 0) return problems;
  if (moduleError) return [`${label}: ${moduleError.message}`];

  const entries = entryPoints(source);
  if (entries.length === 0) return [`${label}:1: no compute entry point`];
  for (const entryPoint of entries) {
    device.pushErrorScope('validation');
    try {
      await device.createComputePipelineAsync({
        label: `${label}/${entryPoint}`,
        layout: 'auto',
        compute: { module, entryPoint },
      });
    } catch (error) {
      problems.push(`${label}/${entryPoint}: ${error.message}`);
    }
    const scopeError = await device.popErrorScope();
    if (scopeError) problems.push(`${label}/${entryPoint}: ${scopeError.message}`);
  }
  return problems;
}

async function checkAll(device, shaders) {
  let failed = 0;
  for (const shader of shaders) {
    const problems = await check(device, shader);
    for (const problem of problems) console.error(problem.trimEnd());
    if (problems.length > 0) failed += 1;
  }
  return { passed: shaders.length - failed, failed };
}

const GOOD = `// entry: forward
enable f16;
enable subgroups;
@group(0) @binding(0) var<storage, read> x: array<f16>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
override WG: u32 = 64u;
var<workgroup> part: array<f32, WG>;
@compute @workgroup_size(WG) fn forward(@builtin(local_invocation_index) lane: u32) {
  part[lane] = subgroupAdd(f32(x[lane]));
  workgroupBarrier();
  y[lane] = part[WG - 1u - lane];
}
`;

const SELF_TEST = [
  { label: 'good', fails: false, source: GOOD },
  { label: 'good_without_entry_line', fails: false, source: GOOD.slice(GOOD.indexOf('\n') + 1) },
  { label: 'syntax_error', fails: true, source: GOOD.replace('workgroupBarrier();', 'workgroupBarrier()') },
  { label: 'type_error', fails: true, source: GOOD.replace('f32(x[lane])', 'x[lane] + 1u') },
  { label: 'barrier_not_uniform', fails: true, source: GOOD.replace('workgroupBarrier();', 'if (lane > 3u) { workgroupBarrier(); }') },
  { label: 'entry_point_missing', fails: true, source: GOOD.replace('entry: forward', 'entry: forward, backward_x') },
  // Found only when the pipeline is made: more threads than the default limit of 256.
  { label: 'workgroup_too_large', fails: true, source: GOOD.replace('64u', '512u') },
];

async function selfTest(device) {
  let failed = 0;
  for (const { fails, ...shader } of SELF_TEST) {
    const problems = await check(device, shader);
    if (problems.length > 0 === fails) continue;
    failed += 1;
    console.error(`self-test: ${shader.label} should ${fails ? 'fail' : 'pass'}`, ...problems);
  }
  return { passed: SELF_TEST.length - failed, failed };
}

function shadersIn(folder) {
  return readdirSync(folder).filter((name) => name.endsWith('.wgsl')).sort();
}

function readShaders(from) {
  if (from === '-') return JSON.parse(readFileSync(0, 'utf8'));
  const files = shadersIn(from);
  const native = join(from, 'native');
  if (existsSync(native)) {
    const reason = 'they use cooperative matrices, which are native only and checked by naga';
    console.log(`tint: ${shadersIn(native).length} shaders of ${native} are left out: ${reason}`);
  }
  return files.map((name) => ({ label: basename(name, '.wgsl'), source: readFileSync(join(from, name), 'utf8') }));
}

async function main() {
  const [from, ...rest] = process.argv.slice(2);
  if (from === undefined || rest.length > 0) {
    console.error('usage: check.mjs FOLDER | - | --self-test');
    return 2;
  }
  const dawn = await openDevice();
  const { passed, failed } =
    from === '--self-test' ? await selfTest(dawn.device) : await checkAll(dawn.device, readShaders(from));
  if (passed + failed === 0) console.error(`${from}: no shaders found; run \`cargo test --test shaders\` first`);
  console.log(`tint: ${passed} passed, ${failed} failed`);
  dawn.device.destroy();
  return failed > 0 || passed === 0 ? 1 : 0;
}

process.exitCode = await main();
