"""Keeps a class of transformers as it is, though vLLM changes it.

A model that vLLM has no code of its own for (OLMo-2 is one) it runs by the class of transformers,
and changes that class where it stands: what is made of it and called then needs vLLM around it. The
model in training is of the same class. So the class gets back what it was, and vLLM's model becomes
of a subclass that has the changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ClassKeeper:
    """A class as it was before vLLM saw it; None where transformers has none for the model."""

    kept: type | None
    bases: tuple[type, ...] = ()
    members: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, model: str) -> ClassKeeper:
        """The class that transformers would run a model by, a folder or a hub name."""
        from transformers import AutoConfig, AutoModel

        config = AutoConfig.from_pretrained(model)
        mapping: Any = AutoModel._model_mapping
        kept = mapping.get(type(config), None)
        if not isinstance(kept, type):
            return cls(None)
        return cls(kept, kept.__bases__, tuple(vars(kept).items()))

    def give_back(self, *models: Any) -> None:
        """Undo what has been changed in the class; `models`, vLLM's, keep the changes."""
        if self.kept is None or self.kept.__bases__ == self.bases:
            return
        before = dict(self.members)
        changes = {
            name: member
            for name, member in vars(self.kept).items()
            if name not in before or before[name] is not member
        }
        more_bases = [base for base in self.kept.__bases__ if base not in self.bases]
        for name in changes:
            if name in before:
                setattr(self.kept, name, before[name])
            else:
                delattr(self.kept, name)
        self.kept.__bases__ = self.bases
        changed = type(self.kept.__name__, (self.kept, *more_bases), changes)
        for module in (module for model in models for module in model.modules()):
            if type(module) is self.kept:
                module.__class__ = changed
