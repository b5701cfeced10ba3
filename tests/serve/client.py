"""OpenAI's own client against a server: python client.py ADDRESS MODEL."""

import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="none", max_retries=0)
model = sys.argv[2]
messages = [{"role": "user", "content": "Hi"}]

assert [listed.id for listed in client.models.list()] == [model]
assert client.models.retrieve(model).id == model

whole = client.chat.completions.create(model=model, messages=messages, temperature=0, max_tokens=20)
assert whole.choices[0].finish_reason == "length" and whole.choices[0].message.role == "assistant"
assert whole.usage.completion_tokens == 20 and whole.usage.prompt_tokens_details.cached_tokens == 0

stream = client.chat.completions.create(
    model=model, messages=messages, temperature=0, max_tokens=20, stream=True, stream_options={"include_usage": True}
)
chunks = list(stream)
text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
assert text == whole.choices[0].message.content, (text, whole)
assert chunks[-1].usage.completion_tokens == 20

several = client.chat.completions.create(
    model=model, messages=messages, n=3, seed=7, max_tokens=5, logprobs=True, top_logprobs=2
)
assert [choice.index for choice in several.choices] == [0, 1, 2]
for choice in several.choices:
    assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in choice.logprobs.content)

text = client.completions.create(model=model, prompt="Greedy text", temperature=0, max_tokens=8, logprobs=1)
assert len(text.choices[0].logprobs.tokens) == 8

for kind, call in [
    (openai.NotFoundError, dict(model="gpt-4o", messages=messages)),
    (openai.BadRequestError, dict(model=model, messages=messages, tools=[{"type": "function", "function": {"name": "f"}}])),
    (openai.BadRequestError, dict(model=model, messages=messages, temperature=-1)),
]:
    try:
        client.chat.completions.create(**call)
    except kind as error:
        assert error.body["message"] and error.code, error
    else:
        raise AssertionError(call)
print("ok")
