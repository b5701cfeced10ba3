#!/usr/bin/env python3
"""What PyTorch, peft and transformers take for the steps that `stepladder bench` times, on the same GPU.

    peer.py train MODEL COUNT LENGTH      one LoRA step (forward, backward, AdamW) on COUNT texts of LENGTH tokens
    peer.py grpo MODEL PROMPTS SAMPLES TOKENS   one GRPO step: transformers' generate, then the update

MODEL is a shape of `stepladder bench --shape`; weights are random and in bf16, the adapter has rank 16 on all seven modules.
Prints one JSON line with the median and all samples, in seconds, and the most memory that PyTorch held.
"""
import json
import statistics
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

RANK = 16
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SHAPES = {
    "smollm2-135m": (LlamaConfig, LlamaForCausalLM, 576, 1536, 49_152, 30, 9, 3),
    "qwen2.5-0.5b": (Qwen2Config, Qwen2ForCausalLM, 896, 4864, 151_936, 24, 14, 2),
}


def load(name):
    config, model, hidden, mlp, vocab, layers, heads, kv_heads = SHAPES[name]
    config = config(hidden_size=hidden, intermediate_size=mlp, vocab_size=vocab, num_hidden_layers=layers, num_attention_heads=heads,
                    num_key_value_heads=kv_heads, tie_word_embeddings=True, max_position_embeddings=4096)
    torch.manual_seed(1)
    model = model(config).to(torch.bfloat16).cuda()
    return get_peft_model(model, LoraConfig(r=RANK, lora_alpha=RANK, target_modules=MODULES, task_type="CAUSAL_LM"))


def optimizer(model):
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=True)


def timed(step, rounds, warm):
    samples = []
    for round in range(rounds + warm):
        torch.cuda.synchronize()
        began = time.perf_counter()
        step()
        torch.cuda.synchronize()
        if round >= warm:
            samples.append(time.perf_counter() - began)
    return samples


def train(name, count, length):
    model = load(name)
    model.train()
    adamw = optimizer(model)
    ids = torch.randint(0, 4096, (count, length), device="cuda")

    def step():
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        adamw.step()
        adamw.zero_grad(set_to_none=True)
        loss.item()

    return timed(step, 15, 5)


def grpo(name, prompts, samples, tokens):
    model = load(name)
    adamw = optimizer(model)
    ids = torch.randint(0, 4096, (prompts, 16), device="cuda")
    rows = ids.repeat_interleave(samples, 0)
    sampling = GenerationConfig(do_sample=True, temperature=1.0, max_new_tokens=tokens, min_new_tokens=tokens, pad_token_id=0, eos_token_id=0)
    advantages = torch.tensor([1.0, -1.0], device="cuda").repeat(prompts * samples // 2)[:, None]

    def logprobs(out):
        logits = model(input_ids=out).logits[:, 15:-1]
        return torch.log_softmax(logits.float(), -1).gather(-1, out[:, 16:, None])[..., 0]

    def step():
        model.eval()
        with torch.no_grad():
            out = model.generate(input_ids=rows, attention_mask=torch.ones_like(rows), generation_config=sampling)
        model.train()
        # Parts of 16 rows: all of them at once would need tens of GiB for the logits.
        for part in range(0, len(out), 16):
            new = logprobs(out[part:part + 16])
            ratio = (new - new.detach()).exp()
            loss = -(ratio * advantages[part:part + 16]).mean() * 16 / len(out)
            loss.backward()
        adamw.step()
        adamw.zero_grad(set_to_none=True)

    return timed(step, 2, 1)


def main():
    what, name, *sizes = sys.argv[1:]
    sizes = [int(size) for size in sizes]
    taken = {"train": train, "grpo": grpo}[what](name, *sizes)
    result = {"what": what, "model": name, "sizes": sizes, "seconds": statistics.median(taken), "samples": taken,
              "memory": torch.cuda.max_memory_allocated(), "device": torch.cuda.get_device_name(), "torch": torch.__version__}
    print(json.dumps(result), flush=True)


main()
