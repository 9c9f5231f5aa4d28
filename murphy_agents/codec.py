"""Between messages and token ids: what the model is given and how its answer becomes text again.

Two promises. Text that somebody else wrote (a task, the output of a program) is never encoded as a
control token, so a program that prints `<|im_end|>` cannot end its own turn. And ids that the model
sampled are never encoded anew: `extend` appends to them. No torch here; a tokenizer is used through
the few attributes named in `ChatCodec`.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from murphy_env.types import Message

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n\n' }}{% endfor %}"
)
"""A chat template for a base model without one: contents with blank lines between, nothing else."""


class Codec(Protocol):
    """What engines and the sampler need of a tokenizer."""

    eos_ids: frozenset[int]
    """Ids that end a completion."""
    end_of_turn: int
    """The one of them with which the template ends an assistant's turn."""

    def encode(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """The prompt of a conversation: its messages and the opening of the assistant's turn."""

    def extend(
        self, prompt_ids: Sequence[int], completion_ids: Sequence[int], messages: Sequence[Message]
    ) -> tuple[int, ...]:
        """The prompt that follows a completion: both, as they were, then the new messages.

        The assistant's turn is closed where the completion was cut before its end.
        """

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Text as it stands, no control token in it."""

    def decode(self, ids: Sequence[int]) -> str:
        """Ids as text, special tokens left out."""


class ChatCodec:
    """The codec of a Hugging Face tokenizer and its chat template.

    The template is rendered once for every sequence of roles, with a placeholder for each content;
    its own words keep their control tokens, each content is encoded apart and gets none. So what a
    template does to a content (stripping blanks, dropping an earlier `<think>` part) does not
    happen: contents are taken as they stand.

    Args:
        tokenizer: a fast one: `backend_tokenizer`, `apply_chat_template`, `chat_template`,
            `added_tokens_decoder`, `eos_token_id`, `decode`. Never changed; all encoding is done by
            private copies, which threads may share.
        enable_thinking: passed to the template (Qwen3 and kin); None leaves it to the template.

    Raises:
        ValueError: the tokenizer is not a fast one, or has no chat template or no end token.
    """

    def __init__(self, tokenizer: Any, enable_thinking: bool | None = None) -> None:
        _check_tokenizer(tokenizer)
        self._tokenizer = tokenizer
        self._options = {} if enable_thinking is None else {"enable_thinking": enable_thinking}
        self._control_ids = _control_ids(tokenizer)
        self._words = _private_backend(tokenizer, control_ids=frozenset(), as_text=False)
        self._text = _private_backend(tokenizer, self._control_ids, as_text=True)
        self._pieces: dict[tuple[str, ...], list[tuple[int, ...] | int]] = {}
        self.end_of_turn = self._find_end_of_turn()
        self.eos_ids = frozenset({tokenizer.eos_token_id, self.end_of_turn})

    def encode(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """The prompt of a conversation, the opening of the assistant's turn included."""
        pieces = self._template(tuple(message["role"] for message in messages))
        return self._fill(pieces, [message["content"] for message in messages])

    def extend(
        self, prompt_ids: Sequence[int], completion_ids: Sequence[int], messages: Sequence[Message]
    ) -> tuple[int, ...]:
        """Prompt and completion as they were, the turn's end if it is missing, the new messages."""
        roles = ("user", "assistant", *(message["role"] for message in messages))
        pieces = self._template(roles)
        contents = ["", "", *(message["content"] for message in messages)]
        closing, *rest = pieces[pieces.index(1) + 1 :]
        last = completion_ids[-1] if completion_ids else None
        # End tokens only: a cut completion may end in one of the template's words, a line break.
        if isinstance(closing, tuple) and last in self.eos_ids and last in closing:
            closing = closing[closing.index(last) + 1 :]
        return (*prompt_ids, *completion_ids, *self._fill([closing, *rest], contents))

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Text as it stands; no control token comes out, whatever it says.

        Raises:
            ValueError: the tokenizer's model itself spells a control token from plain text.
        """
        ids: list[int] = self._text.encode(text, add_special_tokens=False).ids
        if leaked := self._control_ids.intersection(ids):
            raise ValueError(
                f"the tokenizer encodes plain text as the control tokens {sorted(leaked)}; its "
                "vocabulary cannot tell untrusted text from its own, choose another tokenizer"
            )
        return tuple(ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Ids as text, special tokens left out."""
        text: str = self._tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def _template(self, roles: tuple[str, ...]) -> list[tuple[int, ...] | int]:
        """The template's own ids in order, with the index of a message where its content goes."""
        if roles not in self._pieces:
            pieces = self._render(roles)
            lost = set(range(len(roles))) - {piece for piece in pieces if isinstance(piece, int)}
            if lost:
                places = ", ".join(f"{i} ({roles[i]})" for i in sorted(lost))
                raise ValueError(
                    f"the chat template of {self._tokenizer.name_or_path!r} drops or rewrites the "
                    f"content of message {places} of {len(roles)}, so what it says would be lost; "
                    "save a tokenizer whose chat template writes every content, choose prompts "
                    "without a system message (prompts='terse'), or transcript='requote'"
                )
            self._pieces[roles] = pieces
        return self._pieces[roles]

    def _render(self, roles: tuple[str, ...]) -> list[tuple[int, ...] | int]:
        conversation = [{"role": role, "content": _mark(i)} for i, role in enumerate(roles)]
        try:
            text: str = self._tokenizer.apply_chat_template(
                conversation, tokenize=False, add_generation_prompt=True, **self._options
            )
        except Exception as error:
            if not type(error).__module__.startswith("jinja2"):
                raise
            raise ValueError(
                f"the chat template of {self._tokenizer.name_or_path!r} refuses messages with the "
                f"roles {', '.join(roles)} ({error}); choose prompts without a system message "
                "(prompts='terse', or your own), or set another chat template"
            ) from error
        words = re.split(_MARK, text)
        pieces: list[tuple[int, ...] | int] = []
        for word, index in itertools.zip_longest(words[::2], words[1::2]):
            pieces.append(tuple(self._words.encode(word, add_special_tokens=False).ids))
            pieces += [] if index is None else [int(index)]
        return pieces

    def _fill(
        self, pieces: Sequence[tuple[int, ...] | int], contents: Sequence[str]
    ) -> tuple[int, ...]:
        ids: list[int] = []
        for piece in pieces:
            ids += self.encode_text(contents[piece]) if isinstance(piece, int) else piece
        return tuple(ids)

    def _find_end_of_turn(self) -> int:
        """The first control token after an assistant's content; else the tokenizer's end token.

        They differ where a base model's tokenizer (its end token ends a document) carries a chat
        template.
        """
        pieces = self._render(("user", "assistant", "user"))
        after = pieces[pieces.index(1) + 1] if 1 in pieces else ()
        ending = [i for i in after if i in self._control_ids] if isinstance(after, tuple) else []
        end: int = ending[0] if ending else self._tokenizer.eos_token_id
        return end


class CharCodec:
    r"""A codec without a tokenizer, for tests and tutorials: one id for each character.

    Example:
        >>> codec = CharCodec()
        >>> ids = codec.encode([{"role": "user", "content": "Hi"}])
        >>> codec.decode(ids)
        'user\nHiassistant\n'
        >>> codec.decode(codec.encode_text("<end>")), codec.end_of_turn
        ('<end>', 1)
    """

    start_of_turn = 0
    end_of_turn = 1
    _shift = 2

    def __init__(self) -> None:
        self.eos_ids = frozenset({self.end_of_turn})

    def encode(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """The prompt of a conversation, the opening of the assistant's turn included."""
        turns = [self._turn(message["role"], message["content"]) for message in messages]
        closed = [i for turn in turns for i in (*turn, self.end_of_turn)]
        return (*closed, *self._turn("assistant", ""))

    def extend(
        self, prompt_ids: Sequence[int], completion_ids: Sequence[int], messages: Sequence[Message]
    ) -> tuple[int, ...]:
        """Prompt and completion as they were, the turn's end if it is missing, the new messages."""
        closed = bool(completion_ids) and completion_ids[-1] in self.eos_ids
        closing = () if closed else (self.end_of_turn,)
        return (*prompt_ids, *completion_ids, *closing, *self.encode(messages))

    def encode_text(self, text: str) -> tuple[int, ...]:
        """One id for each character."""
        return tuple(ord(char) + self._shift for char in text)

    def decode(self, ids: Sequence[int]) -> str:
        """The inverse of `encode_text`; turn marks are left out."""
        return "".join(chr(i - self._shift) for i in ids if i >= self._shift)

    def _turn(self, role: str, content: str) -> tuple[int, ...]:
        return (self.start_of_turn, *self.encode_text(f"{role}\n{content}"))


_MARK = r"murphy-content-(\d+)-goes-here"


def _mark(index: int) -> str:
    return f"murphy-content-{index}-goes-here"


def _check_tokenizer(tokenizer: Any) -> None:
    name = getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise ValueError(
            f"the tokenizer {name!r} is not a fast one, so control tokens cannot be kept out of "
            "text; load it with AutoTokenizer from a folder that holds a tokenizer.json"
        )
    if not isinstance(tokenizer.chat_template, str):
        raise ValueError(
            f"the tokenizer {name!r} has no chat template; choose an instruct model, or set "
            "tokenizer.chat_template = murphy_agents.codec.PLAIN_TEMPLATE for a base model"
        )
    if tokenizer.eos_token_id is None:
        raise ValueError(
            f"the tokenizer {name!r} has no end token, so no completion would ever end; "
            "set tokenizer.eos_token"
        )


def _control_ids(tokenizer: Any) -> frozenset[int]:
    """Added tokens that steer: the special ones and those that the template writes itself.

    The second kind matters: DeepSeek's turn marks, for one, are not declared special.
    """
    added: Mapping[int, Any] = tokenizer.added_tokens_decoder
    return frozenset(
        index
        for index, token in added.items()
        if token.special
        or (token.content in tokenizer.chat_template and not token.content.isspace())
    )


def _private_backend(tokenizer: Any, control_ids: frozenset[int], as_text: bool) -> Any:
    """A copy of the Rust tokenizer; with `as_text` it reads the control tokens as plain text.

    The library has one switch for this, which covers the tokens declared special and is a state of
    the tokenizer that all threads and callers share: hence a copy, and control tokens declared so.
    """
    backend = tokenizer.backend_tokenizer
    spec = json.loads(backend.to_str()) | {"truncation": None, "padding": None}
    if as_text:
        for token in spec["added_tokens"]:
            token["special"] = token["id"] in control_ids
    copy = type(backend).from_str(json.dumps(spec))
    copy.encode_special_tokens = as_text
    return copy
