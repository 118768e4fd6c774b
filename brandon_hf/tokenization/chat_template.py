"""The ChatML template, as a Jinja string that `apply_chat_template` renders and a saved folder carries.

One message is `<|im_start|>role\\ncontent<|im_end|>\\n`. The `{% generation %}` block spans an assistant's content and
the `<|im_end|>` after it, so that `return_assistant_tokens_mask=True` (and TRL's `assistant_only_loss`) also trains the
model to stop. Each message is rendered from itself alone: `messages[:k]` gives a prefix of what `messages` gives.
"""

IM_START, IM_END = "<|im_start|>", "<|im_end|>"

_TEMPLATE = """\
{{- BOS -}}
{%- for message in messages -%}
  {%- set where = "message " ~ loop.index0 ~ " of the chat" -%}
  {%- if message.role not in ["system", "user", "assistant"] -%}
    {{- raise_exception(where ~ " has role " ~ (message.role | default("(none)") | string) ~
                        "; this model knows system, user and assistant") -}}
  {%- endif -%}
  {%- if message.content is string -%}
    {%- set text = message.content -%}
  {%- elif message.content is defined and message.content is iterable and message.content is not mapping -%}
    {%- for part in message.content if part.type != "text" or part.text is not string -%}
      {{- raise_exception(where ~ " has a content part of type " ~ (part.type | default("(none)") | string) ~
                          "; this model reads parts of type text, which hold a string") -}}
    {%- endfor -%}
    {%- set text = message.content | map(attribute="text") | join -%}
  {%- else -%}
    {{- raise_exception(where ~ " has no text content") -}}
  {%- endif -%}
  {{- "<|im_start|>" ~ message.role ~ AFTER_ROLE -}}
  {%- if message.role == "assistant" -%}
    {%- generation -%}{{- text ~ TURN_END -}}{%- endgeneration -%}
  {%- else -%}
    {{- text ~ TURN_END -}}
  {%- endif -%}
  {{- BETWEEN -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- "<|im_start|>assistant" ~ AFTER_ROLE -}}
{%- endif -%}
"""


def chatml_template(bos: bool = True, separate_segments: bool = False) -> str:
    """Return the ChatML chat template.

    It accepts the roles system, user and assistant, and content that is a string or a list of
    `{"type": "text", "text": ...}` parts (as OpenAI clients send it; parts are joined with nothing between). Anything
    else raises `jinja2.TemplateError` naming the message. Content is never trimmed.

    Args:
        bos: start with `bos_token`: a chat is a document like any other. `apply_chat_template` tokenizes without adding
            special tokens, so there is exactly one; encode a rendered string with `add_special_tokens=False`.
        separate_segments: write a space before each segment (header, content, footer). The original Brandon-Tiny
            encoder encodes the segments one by one, each with SentencePiece's own leading space; with the spaces
            written out, and runs of them collapsed by the tokenizer, encoding the whole chat gives the same ids.
    """
    space = " " if separate_segments else ""
    template = _TEMPLATE.replace("{{- BOS -}}", "{{- bos_token -}}" if bos else "")
    for name, text in (("AFTER_ROLE", "\\n" + space), ("TURN_END", space + IM_END), ("BETWEEN", "\\n" + space)):
        template = template.replace(name, f'"{text}"')
    return "".join(line.strip() for line in template.splitlines())
