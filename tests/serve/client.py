"""OpenAI's own client against a server: python client.py ADDRESS MODEL [CALLER LEARNER], servers that call tools and that learn."""

import json
import sys
import time

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

schema = {
    "type": "object",
    "properties": {"sign": {"enum": ["+", "-"]}, "digit": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["sign", "digit"],
    "additionalProperties": False,
}
form = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": schema}}
held = client.chat.completions.create(model=model, messages=messages, max_tokens=200, seed=1, response_format=form)
assert held.choices[0].finish_reason == "stop", held
value = json.loads(held.choices[0].message.content)
assert value["sign"] in "+-" and 0 <= value["digit"] <= 9, value
biased = client.completions.create(model=model, prompt="a", max_tokens=4, temperature=0, logit_bias={"57": 100}, presence_penalty=1)
assert biased.usage.completion_tokens == 4

# The client asks for base64 by itself.
vectors = client.embeddings.create(model=model, input=["one", "two"]).data
assert [vector.index for vector in vectors] == [0, 1] and vectors[0].embedding != vectors[1].embedding
assert all(abs(sum(x * x for x in vector.embedding) - 1) < 1e-4 for vector in vectors)

if len(sys.argv) > 3:  # a server of a model that calls tools
    caller = openai.OpenAI(base_url=sys.argv[3] + "/v1", api_key="none", max_retries=0)
    tools = [{"type": "function", "function": {"name": "digits", "parameters": schema}}]
    asked = dict(model="base", messages=messages, tools=tools, tool_choice="required", parallel_tool_calls=False, max_tokens=200, seed=1)
    called = caller.chat.completions.create(**asked).choices[0]
    assert called.finish_reason == "tool_calls" and called.message.content is None, called
    (call,) = called.message.tool_calls
    assert call.function.name == "digits" and json.loads(call.function.arguments)["sign"] in "+-"
    parts = [part for chunk in caller.chat.completions.create(**asked, stream=True) for part in chunk.choices[0].delta.tool_calls or []]
    assert [part.function.arguments for part in parts] == [call.function.arguments]
    turns = [*messages, called.message, {"role": "tool", "tool_call_id": call.id, "content": "7"}]
    told = caller.chat.completions.create(model="base", messages=turns, tools=tools, max_tokens=4)
    assert told.choices[0].finish_reason == "length"

if len(sys.argv) > 4:  # a server with a library
    learner = openai.OpenAI(base_url=sys.argv[4] + "/v1", api_key="none", max_retries=0)
    rows = b'{"prompt": "107?", "completion": "311"}\n{"prompt": "114?", "completion": "962"}\n'
    file = learner.files.create(file=("numbers.jsonl", rows), purpose="fine-tune")
    assert learner.files.content(file.id).read() == rows and [listed.id for listed in learner.files.list()] == [file.id]
    job = learner.fine_tuning.jobs.create(model="base", training_file=file.id, suffix="numbers")
    while job.status == "running":
        time.sleep(0.2)
        job = learner.fine_tuning.jobs.retrieve(job.id)
    assert job.status == "succeeded", job
    made = learner.completions.create(model=job.fine_tuned_model, prompt="107?", temperature=0, max_tokens=6)
    assert made.choices[0].text == "311", made
    assert [listed.id for listed in learner.fine_tuning.jobs.list()] == [job.id]
    assert learner.fine_tuning.jobs.list_events(job.id).data[-1].message == "the job was created"
    assert learner.fine_tuning.jobs.cancel(job.id).status == "cancelled" and learner.files.delete(file.id).deleted

for kind, call in [
    (openai.NotFoundError, dict(model="gpt-4o", messages=messages)),
    (openai.BadRequestError, dict(model=model, messages=messages, tools=[{"type": "function", "function": {"name": "f"}}])),
    (openai.BadRequestError, dict(model=model, messages=messages, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "circle"}}})),
    (openai.BadRequestError, dict(model=model, messages=messages, temperature=-1)),
]:
    try:
        client.chat.completions.create(**call)
    except kind as error:
        assert error.body["message"] and error.code, error
    else:
        raise AssertionError(call)
print("ok")
