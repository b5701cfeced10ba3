"""Makes the embedded model `tiny`: tokenizer, problem files, pretraining, evaluation.

    OMP_NUM_THREADS=1 python models/tiny/make.py [--steps N] [--checkpoints DIR]
    OMP_NUM_THREADS=1 python models/tiny/make.py --evaluate     measures the committed model
    OMP_NUM_THREADS=1 python models/tiny/make.py --check-text   looks for held-out problems in the training text

Seeded; needs only torch and safetensors (made with torch 2.15.0, safetensors 0.8.0). Writes `config.json`,
`generation_config.json`, `tokenizer.json`, `tokenizer_config.json`, the problem files (problem_files.py) and
`model.safetensors` (F16) beside itself, and prints pass@1 and pass@10 by level.

A line of training text is one task of the terse notation and an end-of-text token:

    ?{integrand}={antiderivative}     <{problem}:{easier}     ~{problem}:{similar}     >{problem}:{harder}

No line holds a problem of `problems_heldout.jsonl` or `problems_train.jsonl`, compared up to a constant factor by value
(`problems.canonical`).
"""

import argparse
import json
import math
import random
import re
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from problem_files import HERE, SEED, make_problem_files
from problems import LEVELS, answer, canonical, canonical_text, is_antiderivative, random_problem, show, variant

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 64,
    "hidden_size": 128,
    "intermediate_size": 320,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "mlp_bias": False,
    "initializer_range": 0.02,
    "bos_token_id": None,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "torch_dtype": "float16",
    "use_cache": True,
}
# How often a solved problem of each level occurs in the text. The last levels are rare on purpose: what the model has
# seen too little of is what it can still learn by itself.
LEVEL_WEIGHTS = {1: 2, 2: 3, 3: 3, 4: 3, 5: 2, 6: 1.5, 7: 0.8, 8: 0.15}
SOLVE_SHARE, EASIER_SHARE, SIMILAR_SHARE = 0.7, 0.16, 0.08
BATCH, LEARNING_RATE, WARM_UP = 64, 2e-3, 100


# Tokenizer

SPECIALS = ["<pad>", "<eos>", "<unk>"]
CHARACTERS = list("0123456789x^*/+-()?=<>~:") + list("acegilnopqrst")
MERGES = "s+i si+n c+o co+s e+x ex+p l+o lo+g t+a ta+n s+q r+t sq+rt".split()
WORDS = [m.replace("+", "") for m in MERGES]


def vocabulary():
    tokens = SPECIALS + CHARACTERS + WORDS
    return tokens + [f"<reserved_{i}>" for i in range(len(tokens), CONFIG["vocab_size"])]


VOCABULARY = {t: i for i, t in enumerate(vocabulary())}
PIECE = re.compile("sin|cos|exp|log|tan|sqrt|.")


def encode(text):
    """Ids of a text of the notation, as tokenizer.json gives them."""
    return [VOCABULARY[p] for p in PIECE.findall(text)]


def decode(ids):
    names = list(VOCABULARY)
    return "".join(names[i] for i in ids)


def write_json(name, value):
    (HERE / name).write_text(json.dumps(value, indent=2) + "\n")


def write_tokenizer():
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    write_json(
        "tokenizer.json",
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [{"id": i, "content": t, **special} for i, t in enumerate(SPECIALS)],
            "normalizer": None,
            "pre_tokenizer": None,
            "post_processor": None,
            "decoder": {"type": "Fuse"},
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": "<unk>",
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": VOCABULARY,
                "merges": [m.split("+") for m in MERGES],
            },
        },
    )
    write_json(
        "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": None,
            "eos_token": "<eos>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "add_bos_token": False,
            "clean_up_tokenization_spaces": False,
            "model_max_length": CONFIG["max_position_embeddings"],
        },
    )
    write_json("config.json", CONFIG)
    write_json("generation_config.json", {"eos_token_id": 1, "pad_token_id": 0})


# Text


def line(rng, reserved):
    """One line of text without its end token."""
    share = rng.random()
    if share < SOLVE_SHARE:
        level = rng.choices(list(LEVEL_WEIGHTS), list(LEVEL_WEIGHTS.values()))[0]
        problem = random_problem(rng, level)
        if canonical(problem) not in reserved:
            return f"?{show(problem)}={answer(problem)}"
        return line(rng, reserved)
    share -= SOLVE_SHARE
    kind = "<" if share < EASIER_SHARE else "~" if share < EASIER_SHARE + SIMILAR_SHARE else ">"
    problem = random_problem(rng, rng.choices(LEVELS, [1, 1, 1, 2, 2, 3, 4, 4])[0])
    other = variant(rng, problem, kind)
    if other is None or {canonical(problem), canonical(other)} & reserved:
        return line(rng, reserved)
    return f"{kind}{show(problem)}:{show(other)}"


# Model: Llama, with the tensor names of transformers


class Norm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.weight, CONFIG["rms_norm_eps"])


def linear(n_in, n_out):
    return nn.Linear(n_in, n_out, bias=False)


def rotate(x, angles):
    """RoPE on halves; x [batch, heads, tokens, d], angles [batch, tokens, d / 2]."""
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        c = CONFIG
        self.heads, self.kv_heads, self.d = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        self.q_proj = linear(c["hidden_size"], self.heads * self.d)
        self.k_proj = linear(c["hidden_size"], self.kv_heads * self.d)
        self.v_proj = linear(c["hidden_size"], self.kv_heads * self.d)
        self.o_proj = linear(self.heads * self.d, c["hidden_size"])

    def forward(self, x, angles, mask, cache):
        b, n, _ = x.shape
        q = rotate(self.q_proj(x).view(b, n, self.heads, self.d).transpose(1, 2), angles)
        k = rotate(self.k_proj(x).view(b, n, self.kv_heads, self.d).transpose(1, 2), angles)
        v = self.v_proj(x).view(b, n, self.kv_heads, self.d).transpose(1, 2)
        if cache is not None:
            if self in cache:
                k, v = torch.cat([cache[self][0], k], 2), torch.cat([cache[self][1], v], 2)
            cache[self] = (k, v)
        repeat = self.heads // self.kv_heads
        k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.o_proj(y.transpose(1, 2).reshape(b, n, -1))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        h, f = CONFIG["hidden_size"], CONFIG["intermediate_size"]
        self.gate_proj, self.up_proj, self.down_proj = linear(h, f), linear(h, f), linear(f, h)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = Norm(CONFIG["hidden_size"]), Norm(CONFIG["hidden_size"])
        self.self_attn, self.mlp = Attention(), Mlp()

    def forward(self, x, angles, mask, cache):
        x = x + self.self_attn(self.input_layernorm(x), angles, mask, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(CONFIG["vocab_size"], CONFIG["hidden_size"]),
                "layers": nn.ModuleList(Layer() for _ in range(CONFIG["num_hidden_layers"])),
                "norm": Norm(CONFIG["hidden_size"]),
            }
        )
        for name, p in self.named_parameters():
            if p.dim() == 2:
                deep = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(p, std=0.06 / math.sqrt(2 * CONFIG["num_hidden_layers"]) if deep else 0.06)

    def forward(self, ids, positions=None, mask=None, cache=None):
        """Logits [batch, tokens, vocab]; without a mask, causal from position 0."""
        if positions is None:
            positions = torch.arange(ids.shape[1])[None]
        half = torch.arange(0, CONFIG["head_dim"], 2) / CONFIG["head_dim"]
        angles = positions[..., None] / CONFIG["rope_theta"] ** half
        x = self.model["embed_tokens"](ids)
        for layer in self.model["layers"]:
            x = layer(x, angles, mask, cache)
        return F.linear(self.model["norm"](x), self.model["embed_tokens"].weight)


def load_model(path):
    model = Tiny()
    model.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    return model


def save_model(model, path):
    state = {k: v.detach().half().contiguous() for k, v in model.state_dict().items()}
    save_file(state, path, {"format": "pt"})


# Sampling and evaluation


@torch.no_grad()
def sample(model, prompts, temperature=1.0, max_tokens=64, generator=None):
    """One completion a prompt: (ids up to and without the end token, finished). Temperature 0 is greedy."""
    prompts = [encode(p) for p in prompts]
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    pad = torch.tensor([width - len(p) for p in prompts])
    real = torch.arange(width + max_tokens)[None] >= pad[:, None]
    positions = (torch.arange(width)[None] - pad[:, None]).clamp(min=0)
    mask = real[:, None, None, :width] & torch.ones(width, width, dtype=torch.bool).tril()
    mask = mask | torch.eye(width, dtype=torch.bool)
    cache, done, columns = {}, torch.zeros(len(prompts), dtype=torch.bool), []
    logits = model(ids, positions, mask, cache)[:, -1]
    for step in range(max_tokens):
        if temperature:
            chosen = torch.multinomial(F.softmax(logits / temperature, -1), 1, generator=generator)
        else:
            chosen = logits.argmax(-1, keepdim=True)
        columns.append(torch.where(done[:, None], 0, chosen))
        done |= chosen[:, 0] == 1
        if done.all() or step == max_tokens - 1:
            break
        at = width + step
        logits = model(chosen, (at - pad)[:, None], real[:, None, None, : at + 1], cache)[:, -1]
    rows = torch.cat(columns, 1).tolist()
    return [(r[: r.index(1)], True) if 1 in r else (r, False) for r in rows]


def count_correct(model, rows, samples, generator, chunk=240):
    """How many of `samples` sampled answers are right, for each problem."""
    prompts = [r["problem"] for r in rows for _ in range(samples)]
    right = []
    for i in range(0, len(prompts), chunk):
        part = prompts[i : i + chunk]
        outputs = sample(model, [f"?{p}=" for p in part], generator=generator)
        right += [done and is_antiderivative(p, decode(ids)) for p, (ids, done) in zip(part, outputs)]
    return [sum(right[i * samples : (i + 1) * samples]) for i in range(len(rows))]


def pass_at(k, n, c):
    """Unbiased pass@k from c right of n samples (Chen et al. 2021)."""
    return 1.0 if n - c < k else 1.0 - math.comb(n - c, k) / math.comb(n, k)


def evaluate(model, rows, samples=10, seed=1):
    """{level: (pass@1, pass@10 or, with fewer samples, pass@samples)}"""
    counts = count_correct(model, rows, samples, torch.Generator().manual_seed(seed))
    table = {}
    for level in sorted({r["level"] for r in rows}):
        mine = [c for c, r in zip(counts, rows) if r["level"] == level]
        table[level] = tuple(sum(pass_at(k, samples, c) for c in mine) / len(mine) for k in (1, min(10, samples)))
    return table


def show_table(table):
    return "  ".join(f"{level}: {one:.2f}/{many:.2f}" for level, (one, many) in table.items())


# Pretraining


def batches(rng, reserved):
    """Padded batches of lines of like length: (ids, targets), targets -100 on padding."""
    while True:
        lines = sorted((encode(line(rng, reserved)) + [1] for _ in range(BATCH * 16)), key=len)
        groups = [lines[i : i + BATCH] for i in range(0, len(lines), BATCH)]
        rng.shuffle(groups)
        for group in groups:
            width = len(group[-1])
            ids = torch.tensor([g + [0] * (width - len(g)) for g in group])
            targets = torch.tensor([g[1:] + [-100] * (width - len(g) + 1) for g in group])
            yield ids, targets


def pretrain(model, reserved, heldout, steps, checkpoints, every):
    """AdamW at a constant rate, stopped early on purpose: the last levels stay a frontier, half learned."""
    decay = [p for p in model.parameters() if p.dim() == 2]
    rest = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98))
    text, start, tokens, running = batches(random.Random(SEED + 1), reserved), time.time(), 0, 0.0
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / WARM_UP)
        ids, targets = next(text)
        loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        tokens += int((targets >= 0).sum())
        latest = float(loss.detach())
        running = latest if step == 0 else 0.98 * running + 0.02 * latest
        if (step + 1) % every == 0 or step + 1 == steps:
            seconds = time.time() - start
            table = evaluate(model, heldout, samples=4)
            print(f"step {step + 1} loss {running:.3f} tokens {tokens / 1e6:.2f} M {seconds:.0f} s", flush=True)
            print(f"  {show_table(table)}", flush=True)
            if checkpoints:
                save_model(model, checkpoints / f"{step + 1}.safetensors")


def check_text(steps, rows, reserved):
    """Reads the whole training text again and counts the lines that hold a problem of `rows`, by value."""
    forms, held, lines = {canonical_text(r["problem"]) for r in rows}, 0, 0
    text = batches(random.Random(SEED + 1), reserved)
    for _ in range(steps):
        for ids, targets in zip(*next(text)):
            words = decode(ids[: int((targets >= 0).sum()) + 1].tolist())
            problem, _, rest = words[1:].partition("=" if words[0] == "?" else ":")
            texts = [problem] if words[0] == "?" else [problem, rest]
            held += any(canonical_text(t) in forms for t in texts)
            lines += 1
    print(f"{held} of {lines} lines hold a problem of the files")


def summary(counts):
    """Words for counts of right answers out of 8."""
    middle = sum(0 < c < 8 for c in counts) / len(counts)
    return f"pass@1 {sum(counts) / 8 / len(counts):.3f}, neither 0 nor 8 of 8 {middle:.3f}"


def report(model, heldout, train):
    """Prints what the README says of the model."""
    table = evaluate(model, heldout, samples=20)
    for level, (one, ten) in table.items():
        count = sum(r["level"] == level for r in heldout)
        print(f"level {level}: {count} problems, pass@1 {one:.3f}, pass@10 {ten:.3f}")
    generator = torch.Generator().manual_seed(2)
    for kind in "<~>":
        rows = [r["problem"] for r in train for _ in range(8)]
        outputs = sample(model, [f"{kind}{p}:" for p in rows], generator=generator)
        texts = [decode(ids) if done else "" for ids, done in outputs]
        forms = [canonical_text(t) for t in texts]
        other = [t for t, f, p in zip(texts, forms, rows) if f is not None and f != canonical_text(p)]
        counts = count_correct(model, [{"problem": t} for t in other], 8, generator)
        valid, new = sum(f is not None for f in forms) / len(rows), len(other) / len(rows)
        print(f"variants {kind}: valid {valid:.3f}, valid and another problem {new:.3f}, {summary(counts)}")
    counts = count_correct(model, train, 8, generator)
    print(f"roots: {summary(counts)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--every", type=int, default=500, help="steps between evaluations")
    parser.add_argument("--checkpoints", type=Path, help="folder for a checkpoint at every evaluation")
    parser.add_argument("--evaluate", action="store_true", help="only measure model.safetensors")
    parser.add_argument("--check-text", action="store_true", help="only look for held-out problems in the text")
    args = parser.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    heldout, train, reserved = make_problem_files(write=not (args.evaluate or args.check_text))
    if args.check_text:
        return check_text(args.steps, heldout + train, reserved)
    if args.evaluate:
        return report(load_model(HERE / "model.safetensors"), heldout, train)
    if args.checkpoints:
        args.checkpoints.mkdir(parents=True, exist_ok=True)
    write_tokenizer()
    model = Tiny()
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(reserved)} reserved forms")
    pretrain(model, reserved, heldout, args.steps, args.checkpoints, args.every)
    save_model(model, HERE / "model.safetensors")
    report(load_model(HERE / "model.safetensors"), heldout, train)


if __name__ == "__main__":
    main()
