"""The tests' end of the conversation with the program, which is in another process.

What the program says is data by the time that a test sees it, or a stand-in that only passes calls
on. A stand-in compares equal to another one if the program says so, to data never.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from .peer import Peer
from .report import REMOTE_TEXT
from .travel import Garbled

_COMPARISONS = frozenset(f"__{name}__" for name in ("eq", "ne", "lt", "le", "gt", "ge"))
_ALIASES = {"np": "numpy", "pd": "pandas"}
_PLAIN = frozenset(
    name
    for name in dir(builtins)
    if isinstance(getattr(builtins, name), type)
    or name in ("abs", "all", "any", "bin", "chr", "divmod", "hash", "hex", "len", "max", "min",
                "oct", "ord", "pow", "repr", "round", "sorted", "sum")
)  # fmt: skip


class Judging(Peer):
    """Asks the program, and serves what tests give it: their functions and iterators, no more."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._stand_ins: dict[int, Any] = {}
        self._errors: dict[tuple[str, str], type[BaseException]] = {}

    def request(self, op: str, **told: Any) -> Any:
        """The value that the program answers with.

        Raises:
            BaseException: what the program raised, as far as there is such an exception here.
            Gone: it is at its end.
        """
        answer = self.ask({"op": op, **told})
        if "raised" in answer:
            raise self._raised(answer["raised"]) from None
        return self.unpack(answer.get("value"))

    def call_of(self, number: int, args: Any, words: dict[str, Any]) -> Any:
        """Call something of the program's; lists and the like that it changed change here too."""
        told = {"of": number, "words": [[name, self.pack(word)] for name, word in words.items()]}
        return self._called({"op": "call", **told}, args)

    def special_of(self, number: int, name: str, args: Any) -> Any:
        """Call a special method of an object of the program's."""
        return self._called({"op": "special", "of": number, "name": name}, args)

    def exported(self, names: list[str]) -> dict[str, Any] | dict[str, dict[str, Any]]:
        """What the program defines under these names; `{"failed": frame}` if it was not loaded."""
        answer = self.ask({"op": "names", "names": names})
        if "failed" in answer:
            return {"failed": answer["failed"]}
        found = {}
        for name, tree in answer.get("value") or []:
            if name in names:
                found[name] = self._exported(name, tree)
        return {"names": {name: value for name, value in found.items() if value is not None}}

    def _exported(self, name: str, tree: Any) -> Any:
        """What is known under a name; None where nothing is.

        Classes are taken here alone, under the names that tests call them by: an object of a class
        that no test names could answer for itself.
        """
        match tree:
            case ["h", "module", module]:
                return _same_module(name, module)
            case ["h", "mine", int() as number, "class", str() as called, list() as special, base]:
                if name != called or not name[:1].isupper():
                    return None
                made = self._made_class(number, called, special, base)
                self._stand_ins[number] = made
                return made
        return self.unpack(tree)

    def offer(self, value: Any) -> Any:
        """A stand-in for a function or iterator of a test.

        Raises:
            TypeError: it is neither, nor data.
        """
        number = getattr(type(value), "number_of_stand_in", lambda _: None)(value)
        if number is not None:
            return ["h", "yours", number]
        name, module = getattr(value, "__name__", None), getattr(value, "__module__", None)
        if name is not None and getattr(builtins, name, None) is value:
            return ["h", "builtin", name]
        if (
            module in sys.stdlib_module_names
            and getattr(sys.modules[module], str(name), 0) is value
        ):
            return ["h", "import", module, name]
        if hasattr(type(value), "__next__"):
            return ["h", "mine", self.number_of(value), "iterator"]
        if callable(value):
            return ["h", "mine", self.number_of(value), "function"]
        raise TypeError(
            f"{type(value).__name__!r} objects of a test cannot be given to a program in another "
            "process; give the test one_process=True"
        )

    def take(self, items: list[Any]) -> Any:
        """What the program gave."""
        match items:
            case ["yours", number]:
                return self.owned(number)
            case ["builtin", str() as name] if name in _PLAIN:
                return getattr(builtins, name)
            case ["mine", int() as number, str() as kind, *told]:
                if number not in self._stand_ins:
                    self._stand_ins[number] = self._made(number, kind, told)
                return self._stand_ins[number]
        raise Garbled("a stand-in of no kind that is known")

    def serve_one(self, request: dict[str, Any]) -> Any:
        """Call a test's function, or step through its iterator, for the program."""
        match request:
            case {"op": "call", "of": number, "args": args, "words": words}:
                return self.call(self.owned(number), args, words)
            case {"op": "next", "of": number}:
                return {"value": self.pack(next(self.owned(number)))}
        raise Garbled("a request of no kind that is known")

    def described(self, error: BaseException) -> dict[str, Any]:
        """An exception of a test's function: the nearest one of Python's own, and its arguments."""
        base = next(b.__name__ for b in type(error).__mro__ if hasattr(builtins, b.__name__))
        args = [a for a in error.args if isinstance(a, str | int | float | None)]
        return {"base": base, "args": args}

    def _called(self, request: dict[str, Any], args: Any) -> Any:
        answer = self.ask({**request, "args": [self.pack(arg) for arg in args]})
        for index, tree in answer.get("after") or []:
            _become(args[index], self.unpack(tree))
        if "raised" in answer:
            error = self._raised(answer["raised"])
            ends = isinstance(error, StopIteration | StopAsyncIteration)
            if ends and request.get("name") not in ("__next__", "__anext__"):
                # It would end the loop of the test that called, and what is left of it pass.
                raise RuntimeError(f"the program raised {type(error).__name__}") from error
            raise error from None
        if "argument" in answer:
            return args[answer["argument"]]
        return self.unpack(answer.get("value"))

    def _made(self, number: int, kind: str, told: list[Any]) -> Any:
        match kind, told:
            case "function", [str() as name]:
                return Function(self, number, name)
            case "iterator", []:
                return Steps(self, number)
            case "object", [["h", "mine", int() as of_class, "class", *_]]:
                known = self._stand_ins.get(of_class)
                if isinstance(known, RemoteType):
                    return known.stand_in(number)
        raise Garbled("a stand-in that is not as agreed")

    def _made_class(self, number: int, name: str, special: list[Any], base: Any) -> Any:
        if base is not None:
            return type(name, (_builtin_error(base),), {})
        methods = {method: _forward(method) for method in special if isinstance(method, str)}
        if "__eq__" in methods:
            methods.setdefault("__hash__", _forward("__hash__"))
        return RemoteType(
            name, (RemoteObject,), {**methods, "_peer": self, "_class_number": number}
        )

    def _raised(self, told: Any) -> BaseException:
        try:
            name, base = str(told["type"]), _builtin_error(told["base"])
            known = self._stand_ins.get(told["class"])
            args = [self.unpack(tree) for tree in told["args"]]
            text = str(told["text"])
        except (TypeError, KeyError) as garbled:
            raise Garbled("an exception that is not as agreed") from garbled
        kind = known if isinstance(known, type) and issubclass(known, BaseException) else None
        if kind is None:
            own = getattr(builtins, name, None)
            kind = own if own is base else self._errors.get((name, base.__name__))
        if kind is None:
            kind = self._errors[name, base.__name__] = type(name, (base,), {})
        made: BaseException
        try:
            made = kind(*args)
        except TypeError:  # those of Unicode take five
            made = RuntimeError(*args)
        setattr(made, REMOTE_TEXT, text)
        return made


def _builtin_error(name: Any) -> type[BaseException]:
    kind = getattr(builtins, str(name), None)
    if not isinstance(kind, type) or not issubclass(kind, BaseException):
        raise Garbled(f"{name!r} is no exception of Python's own")
    return kind


def _same_module(name: str, module: Any) -> Any:
    """A module that a program imported, imported here too, if it goes by a name of its own."""
    if module not in (name, _ALIASES.get(name)):
        return None
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def _become(value: Any, now: Any) -> None:
    """Make a list, dict, set or bytearray hold what another holds."""
    if type(now) is not type(value) and not isinstance(value, type(now)):
        raise Garbled("an argument that changed its type")
    if isinstance(value, list | bytearray):
        value[:] = now
    else:
        value.clear()
        value.update(now)


def _forward(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any) -> Any:
        if name in _COMPARISONS and not isinstance(args[0], RemoteObject):
            return NotImplemented
        return self._peer.special_of(self.number_of_stand_in(), name, args)

    method.__name__ = name
    return method


class RemoteType(type):
    """The stand-in of a class of the program's; calling it makes an object over there."""

    _peer: Judging
    _class_number: int

    def number_of_stand_in(cls) -> int | None:
        """The program's number of the class."""
        return cls.__dict__.get("_class_number")

    def stand_in(cls, number: int) -> Any:
        """The stand-in of an object of the class."""
        kind: Any = cls
        made = object.__new__(kind)
        object.__setattr__(made, "_number", number)
        return made

    def __call__(cls, *args: Any, **words: Any) -> Any:
        """Make an object, over there."""
        return cls._peer.call_of(cls._class_number, args, words)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls._peer.request("get", of=cls._class_number, name=name)


class RemoteObject:
    """The stand-in of an object of a class that a test names."""

    _peer: Judging
    _number: int

    def number_of_stand_in(self) -> int:
        """The program's number of the object."""
        return self._number

    def __getattr__(self, name: str) -> Any:
        return self._peer.request("get", of=self._number, name=name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._peer.request("set", of=self._number, name=name, tree=self._peer.pack(value))


class Function:
    """The stand-in of a function."""

    def __init__(self, peer: Judging, number: int, name: str) -> None:
        self._peer, self._number = peer, number
        self.__name__ = self.__qualname__ = name

    def number_of_stand_in(self) -> int:
        """The program's number of the function."""
        return self._number

    def __call__(self, *args: Any, **words: Any) -> Any:
        """Call it, over there."""
        return self._peer.call_of(self._number, args, words)

    def __repr__(self) -> str:
        return f"<function {self.__name__}>"


class Steps:
    """The stand-in of an iterator."""

    def __init__(self, peer: Judging, number: int) -> None:
        self._peer, self._number = peer, number

    def number_of_stand_in(self) -> int:
        """The program's number of the iterator."""
        return self._number

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self._peer.request("next", of=self._number)
