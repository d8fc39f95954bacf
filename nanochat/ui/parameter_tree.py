"""Every tensor of a model in its place: the names are paths, and a path makes a tree.

Each branch says how many parameters hang on it, which is the sum of what hangs on its own branches, down to the tensors
themselves with their shapes. Values in, HTML out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from nanochat.model.facts import TensorFacts
from nanochat.ui.amounts import size


@dataclass(frozen=True, slots=True)
class Branch:
    """A name and what hangs on it; a leaf has the tensor instead of branches."""

    name: str
    parameters: int
    size_bytes: int
    branches: tuple[Branch, ...] = ()
    tensor: TensorFacts | None = None


def tree(tensors: Iterable[TensorFacts]) -> Branch:
    """Hang each tensor where its name says; the root is the whole model."""
    return _branch("all", [(tensor.name.split("."), tensor) for tensor in tensors])


def tree_html(root: Branch) -> str:
    """Return the tree as lists that fold, with the first level open."""
    return f'<ul class="tree">{_item(root, opened=True)}</ul>'


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape as it is read aloud: 4,096 × 256."""
    return " × ".join(f"{length:,}" for length in shape)


def _branch(name: str, hung: list[tuple[list[str], TensorFacts]]) -> Branch:
    path, tensor = hung[0]
    if not path:
        return Branch(name, tensor.parameters, tensor.size_bytes, tensor=tensor)
    grouped: dict[str, list[tuple[list[str], TensorFacts]]] = {}
    for (first, *rest), each in hung:
        grouped.setdefault(first, []).append((rest, each))
    # A path without a fork is one step.
    if len(grouped) == 1 and name != "all":
        return _branch(f"{name}.{path[0]}", grouped[path[0]])
    branches = tuple(_branch(first, below) for first, below in grouped.items())
    parameters, size_bytes = sum(each.parameters for each in branches), sum(each.size_bytes for each in branches)
    return Branch(name, parameters, size_bytes, branches)


def _item(branch: Branch, *, opened: bool = False) -> str:
    count = f'<span title="{size(branch.size_bytes)}">{branch.parameters:,}</span>'
    if branch.tensor is not None:
        shape = f"<small>{shape_text(branch.tensor.shape)} {escape(branch.tensor.dtype)}</small>"
        return f'<li class="leaf"><code>{escape(branch.name)}</code> {shape} {count}</li>'
    below = "".join(_item(each) for each in branch.branches)
    state = ' open=""' if opened else ""
    summary = f"<summary><code>{escape(branch.name)}</code> {count}</summary>"
    return f"<li><details{state}>{summary}<ul>{below}</ul></details></li>"
