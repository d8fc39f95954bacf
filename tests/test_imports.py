"""The arrows of the house, read from the sources: app.py → ui → chat → model, and never back."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
PACKAGE = HOUSE / "nanochat"
FILES = sorted([*PACKAGE.rglob("*.py"), *HOUSE.glob("app.py")])

# What each layer may import of the package, itself included. `errors` and `settings` stand beside the layers.
ALLOWED = {
    "model": {"model", "errors"},
    "chat": {"chat", "model", "errors"},
    "lens": {"lens", "chat", "model", "errors"},
    "ui": {"ui", "lens", "chat", "model", "errors", "settings"},
    "recipe": {"recipe", "chat", "model", "errors"},
    # Measures all layers from above, as app.py composes them.
    "bench": {"bench", "ui", "lens", "chat", "model", "errors", "settings"},
    "errors": set(),
    "settings": {"settings", "model", "errors"},
    "__init__": {"model"},
    "__main__": {"bench", "lens", "chat", "model", "recipe", "errors", "settings"},
    "app": {"ui", "lens", "chat", "model", "errors", "settings"},
}

# Libraries that only some of them may know.
CONFINED = {"gradio": {"ui", "app"}, "gradio_client": {"bench"}, "spaces": {"chat", "app"}}
# `spaces` refuses with Gradio's Error, whoever calls it: to catch it is to name it.
EXCEPTIONS = {"zerogpu.py": ["gradio.exceptions"]}


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """Name every module a file imports, wherever in the file, relative imports as they are written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            # `from nanochat import chat` names a layer too.
            if module == "nanochat":
                yield from (f"nanochat.{alias.name}" for alias in node.names)


def layer(path: Path) -> str:
    return path.stem if path.parent in (PACKAGE, HOUSE) else path.relative_to(PACKAGE).parts[0]


def violations(name: str, tree: ast.AST) -> list[str]:
    """Return the imports of a file in this layer that it must not have."""
    found = []
    for module in imported_modules(tree):
        parts = module.split(".")
        inside = parts[0] == "nanochat" and len(parts) > 1 and is_layer(parts[1])
        if module.startswith(".") or (inside and parts[1] not in ALLOWED[name]):
            found.append(module)
        if name not in CONFINED.get(parts[0], {name}):
            found.append(module)
    return found


def is_layer(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_no_import_points_up(path: Path) -> None:
    assert violations(layer(path), ast.parse(path.read_text())) == EXCEPTIONS.get(path.name, [])


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("model", "from nanochat.chat.engine import Engine"),
        ("model", "import nanochat.settings"),
        ("chat", "def late():\n    from nanochat.ui import page"),
        ("chat", "import gradio as gr"),
        ("chat", "from nanochat import lens"),
        ("lens", "from nanochat.ui.page import build"),
        ("recipe", "from nanochat.ui import card"),
        ("ui", "from nanochat.recipe.training import train"),
        ("ui", "from nanochat.bench.table import Row"),
        ("recipe", "from nanochat import bench"),
        ("bench", "from nanochat.recipe.speed import measure_training"),
        ("bench", "import gradio"),
        ("model", "from .cache import Slot"),
        ("__main__", "import gradio"),
    ],
)
def test_an_arrow_drawn_the_wrong_way_would_be_seen(name: str, source: str) -> None:
    assert violations(name, ast.parse(source))


def test_the_four_layers_are_there() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert {"model", "chat", "lens", "ui"} <= folders
    assert folders - {"pretrained"} <= ALLOWED.keys()


def reads_environment(tree: ast.AST) -> bool:
    return any(
        (isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv", "putenv", "unsetenv"))
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and any("env" in name.name for name in node.names))
        for node in ast.walk(tree)
    )


def test_the_environment_is_read_in_one_place() -> None:
    readers = [path.name for path in FILES if reads_environment(ast.parse(path.read_text()))]
    assert readers == ["settings.py"]


@pytest.mark.parametrize("source", ["import os\nos.environ['A']", "from os import getenv", "import os\nos.getenv('A')"])
def test_a_second_reader_of_the_environment_would_be_seen(source: str) -> None:
    assert reads_environment(ast.parse(source))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_transformers_own_nanochat_is_an_oracle_and_never_an_import(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not any("transformers.models.nanochat" in module for module in imported_modules(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "transformers":
            assert not any(alias.name.startswith("NanoChat") for alias in node.names)
