// Fields of forms that are settings: their range, meaning and the value that an empty field has, as the engine states them.

import { settings, type Preset, type RunKind, type SettingRow } from "stepladder";

const asked = new Map<string, Promise<SettingRow[]>>();

/** The settings of a kind of run; each is asked for once. */
function rowsOf(kind: RunKind, preset?: Preset): Promise<SettingRow[]> {
  const name = `${kind} ${preset ?? ""}`;
  const known = asked.get(name) ?? settings(kind, preset);
  asked.set(name, known);
  // What failed is asked for again.
  known.catch(() => asked.delete(name));
  return known;
}

/** Gives fields, by the paths of their settings, range, meaning and value; what follows from model and examples keeps its words. */
export async function describe(fields: Record<string, HTMLInputElement>, kind: RunKind, preset?: Preset): Promise<void> {
  const rows = await rowsOf(kind, preset);
  for (const [path, input] of Object.entries(fields)) {
    const row = rows.find((row) => row.path === path);
    if (row === undefined) continue;
    input.title = `${row.doc} (${row.takes})`;
    if (row.least !== null) input.min = String(row.least);
    if (row.most !== null) input.max = String(row.most);
    if (row.value !== null) input.placeholder = String(row.value);
  }
}

/** A line of the form that settings are typed in, with a preset's own value. */
export async function example(path: string, kind: RunKind, preset?: Preset): Promise<string> {
  const row = (await rowsOf(kind, preset)).find((row) => row.path === path);
  return `${path}=${JSON.stringify(row?.value)}`;
}
