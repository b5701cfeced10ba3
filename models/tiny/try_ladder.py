"""Tries LADDER on the embedded model in PyTorch: which settings raise held-out pass@1 within a short run.

    OMP_NUM_THREADS=1 python models/tiny/try_ladder.py [--steps 40] [--learning-rate 2e-3] [--root-share 0.25] ...

LoRA of rank 8 on all seven projections, groups of G samples at temperature 1, advantages (reward - mean) / std, one
update a step on the token mean over the groups that carry a signal. Problems come from `problems_train.jsonl` (roots) and from
variants that the model itself writes for `<root:`, chosen by Thompson sampling of p(1 - p).
"""

import argparse
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from make import HERE, decode, encode, evaluate, load_model, make_problem_files, sample, show_table
from problems import canonical_text, is_antiderivative


class Lora(nn.Module):
    def __init__(self, base, rank, alpha):
        super().__init__()
        self.base, self.scale = base, alpha / rank
        self.a = nn.Parameter(torch.empty(rank, base.in_features))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=5**0.5)

    def forward(self, x):
        return self.base(x) + F.linear(F.linear(x, self.a), self.b) * self.scale


def add_lora(model, rank, alpha):
    model.requires_grad_(False)
    for layer in model.model["layers"]:
        for module, names in [(layer.self_attn, ["q", "k", "v", "o"]), (layer.mlp, ["gate", "up", "down"])]:
            for name in names:
                setattr(module, f"{name}_proj", Lora(getattr(module, f"{name}_proj"), rank, alpha))
    return [p for p in model.parameters() if p.requires_grad]


class Node:
    def __init__(self, problem, parent=None):
        self.problem, self.parent, self.tries, self.right, self.children = problem, parent, 0.0, 0.0, 0

    def draw(self, rng):
        """A sample of the pass rate; a node without tries expects a little more than its parent."""
        prior = 0.5 if self.parent is None else min(0.9, self.parent.mean() + 0.2)
        return rng.betavariate(self.right + 2 * prior + 0.1, self.tries - self.right + 2 * (1 - prior) + 0.1)

    def mean(self):
        return (self.right + 0.5) / (self.tries + 1)


class Tree:
    def __init__(self, roots, heldout_forms, rng):
        self.nodes = [Node(r["problem"]) for r in roots]
        self.roots, self.rng = list(self.nodes), rng
        self.seen = {canonical_text(n.problem) for n in self.nodes} | heldout_forms
        self.counts = {"valid": 0, "invalid": 0, "known": 0}

    def grow(self, model, parents, generator):
        outputs = sample(model, [f"<{p.problem}:" for p in parents], generator=generator)
        for parent, (ids, done) in zip(parents, outputs):
            text = decode(ids)
            form = canonical_text(text) if done else None
            kind = "invalid" if form is None else "known" if form in self.seen else "valid"
            self.counts[kind] += 1
            parent.children += 1
            if kind == "valid":
                self.seen.add(form)
                self.nodes.append(Node(text, parent))

    def choose(self, count, root_share):
        roots = self.rng.sample(self.roots, round(count * root_share))
        rest = [n for n in self.nodes if n not in roots]
        scored = sorted(rest, key=lambda n: -(p := n.draw(self.rng)) * (1 - p))
        return (roots + scored)[:count]


def grpo_step(model, parameters, optimizer, chosen, args, generator):
    prompts = [f"?{n.problem}=" for n in chosen for _ in range(args.group_size)]
    outputs = sample(model, prompts, generator=generator, max_tokens=args.max_tokens)
    rewards = torch.tensor(
        [float(done and is_antiderivative(p[1:-1], decode(ids))) for p, (ids, done) in zip(prompts, outputs)]
    ).view(len(chosen), args.group_size)
    for node, group in zip(chosen, rewards):
        node.tries = 0.7 * node.tries + len(group)
        node.right = 0.7 * node.right + float(group.sum())
    advantage = ((rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)).flatten()
    rows = [i for i in range(len(prompts)) if advantage[i] != 0]
    generated = sum(len(ids) + done for ids, done in outputs)
    signal = float((rewards.std(1) > 0).float().mean())
    if rows:
        full = [(encode(prompts[i]), outputs[i][0] + [1] * outputs[i][1]) for i in rows]
        width = max(len(p) + len(c) for p, c in full)
        ids = torch.tensor([p + c + [0] * (width - len(p) - len(c)) for p, c in full])
        weight = torch.tensor(
            [[0.0] * (len(p) - 1) + [1.0] * len(c) + [0.0] * (width - len(p) - len(c)) for p, c in full]
        )
        logp = F.log_softmax(model(ids)[:, :-1], -1).gather(2, ids[:, 1:, None])[..., 0]
        loss = -(logp * weight * advantage[rows][:, None]).sum() / weight.sum()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    return float(rewards.mean()), signal, generated


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=HERE / "model.safetensors")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--prompts-per-step", type=int, default=16)
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--alpha", type=float, default=16)
    parser.add_argument("--root-share", type=float, default=0.25, help="1 trains on roots alone, without variants")
    parser.add_argument("--variants-per-step", type=int, default=16)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    heldout, roots, _ = make_problem_files(write=False)
    generator, rng = torch.Generator().manual_seed(args.seed), random.Random(args.seed)
    model = load_model(args.model)
    parameters = add_lora(model, args.rank, args.alpha)
    optimizer = torch.optim.AdamW(parameters, lr=args.learning_rate, weight_decay=0.0)
    tree = Tree(roots, {canonical_text(r["problem"]) for r in heldout}, rng)
    print(f"step 0  {show_table(evaluate(model, heldout, 8))}", flush=True)
    start, tokens, rewards, signals = time.time(), 0, [], []
    for step in range(1, args.steps + 1):
        if args.root_share < 1:
            hardest = sorted(tree.nodes, key=lambda n: n.children + 4 * n.mean() + rng.random())
            tree.grow(model, hardest[: args.variants_per_step * (4 if step == 1 else 1)], generator)
        chosen = tree.choose(args.prompts_per_step, args.root_share)
        reward, signal, count = grpo_step(model, parameters, optimizer, chosen, args, generator)
        tokens += count
        rewards.append(reward)
        signals.append(signal)
        if step % args.every == 0:
            table = show_table(evaluate(model, heldout, 8))
            recent = slice(-args.every, None)
            print(
                f"step {step}  {table}  reward {sum(rewards[recent]) / args.every:.2f} groups with signal "
                f"{sum(signals[recent]) / args.every:.2f} tokens {tokens} nodes {len(tree.nodes)} {tree.counts} "
                f"{time.time() - start:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
