// Which files make a model in Hugging Face's layout.

export const INDEX = "model.safetensors.index.json";
export const SINGLE = "model.safetensors";
export const REQUIRED = ["config.json", "tokenizer.json"] as const;
export const OPTIONAL = ["generation_config.json", "tokenizer_config.json", "chat_template.jinja"] as const;

export function isTextFile(name: string): boolean {
  return [...REQUIRED, ...OPTIONAL, INDEX].some((known) => known === name);
}

export function isWeights(name: string): boolean {
  return /\.(safetensors|gguf)$/i.test(name);
}

/** The shards that an index names, each once. A name with a folder in it would leave the model's own. */
export function shardNames(index: string): string[] | undefined {
  try {
    const map = (JSON.parse(index) as { weight_map?: Record<string, unknown> }).weight_map;
    const names = [...new Set(Object.values(map ?? {}))];
    const plain = names.filter((name): name is string => typeof name === "string" && /^[\w.-]+\.safetensors$/.test(name));
    return plain.length === names.length && plain.length > 0 ? plain : undefined;
  } catch {
    return undefined;
  }
}
