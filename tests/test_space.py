"""What Hugging Face reads and builds: the head of README.md, and requirements that fit beside what a Space adds."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HOUSE = Path(__file__).parent.parent
# The distribution is called otherwise than what it brings.
DISTRIBUTIONS = {"yaml": "pyyaml"}
# accelerate is imported by transformers, for the device maps and the pipelines of the README; pytest by the tests.
NOT_IMPORTED = {"accelerate", "pytest"}
# The ones a Space's card is drawn in.
COLORS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


@pytest.fixture(scope="module")
def front_matter() -> dict[str, Any]:
    _, head, _ = (HOUSE / "README.md").read_text().split("---\n", 2)
    loaded = yaml.safe_load(head)
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="module")
def requirements() -> dict[str, Requirement]:
    return read_requirements(HOUSE / "requirements.txt")


def read_requirements(path: Path) -> dict[str, Requirement]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines if line}


def test_the_front_matter_has_the_keys_a_space_needs(front_matter: dict[str, Any]) -> None:
    needed = {"title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file"}
    shown = {"short_description", "license", "models", "tags", "suggested_hardware"}
    assert needed | shown <= front_matter.keys()
    assert front_matter["sdk"] == "gradio"
    assert front_matter["suggested_hardware"] == "zero-a10g"
    assert {front_matter["colorFrom"], front_matter["colorTo"]} <= COLORS
    assert (HOUSE / front_matter["app_file"]).is_file()


def test_the_short_description_fits_its_place(front_matter: dict[str, Any]) -> None:
    assert 0 < len(front_matter["short_description"]) <= 60


def test_the_python_of_the_space_is_one_that_zerogpu_and_transformers_share(front_matter: dict[str, Any]) -> None:
    # Unquoted it would be a number, and 3.10 would be 3.1.
    assert front_matter["python_version"] == "3.12"


def test_the_gradio_of_the_space_is_within_the_requirement(
    front_matter: dict[str, Any], requirements: dict[str, Requirement]
) -> None:
    assert requirements["gradio"].specifier.contains(front_matter["sdk_version"])


def test_every_requirement_has_both_ends(requirements: dict[str, Requirement]) -> None:
    tests = read_requirements(HOUSE / "tests" / "requirements.txt")
    for requirement in (requirements | tests).values():
        operators = {specifier.operator for specifier in requirement.specifier}
        assert ">=" in operators, requirement
        assert operators & {"<", "<="}, requirement


def test_the_requirements_are_what_the_program_imports(requirements: dict[str, Requirement]) -> None:
    imported = set(third_party([HOUSE / "app.py", *(HOUSE / "nanochat").rglob("*.py")]))
    assert imported | NOT_IMPORTED == requirements.keys()


def test_the_test_requirements_are_what_the_tests_import(requirements: dict[str, Requirement]) -> None:
    tests = read_requirements(HOUSE / "tests" / "requirements.txt")
    imported = set(third_party((HOUSE / "tests").rglob("*.py")))
    assert imported <= tests.keys() | requirements.keys() | {"gradio-client", "packaging"}
    assert not tests.keys() & requirements.keys()


def third_party(paths: Iterator[Path] | list[Path]) -> Iterator[str]:
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in {name.partition(".")[0] for name in names}:
                if name not in sys.stdlib_module_names | {"nanochat", "tests", "app"}:
                    yield canonicalize_name(DISTRIBUTIONS.get(name, name))


def test_one_function_is_decorated_for_the_gpu() -> None:
    decorated = [
        path.name
        for path in [HOUSE / "app.py", *(HOUSE / "nanochat").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "GPU"
    ]
    assert decorated == ["zerogpu.py"]


def test_weights_and_pictures_are_kept_as_bytes() -> None:
    names = ["a.safetensors", "a.png", "a.jpg", "a.gif", "a.webp", "a.ico"]
    command = ["git", "check-attr", "text", "diff", "--", *names]
    checked = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, check=False)
    if checked.returncode:
        pytest.skip(f"not a git checkout: {checked.stderr.strip()}")
    assert re.findall(r": (\w+)$", checked.stdout, re.MULTILINE) == ["unset"] * 2 * len(names)


def test_the_requirements_resolve_as_the_space_builds_them(front_matter: dict[str, Any], tmp_path: Path) -> None:
    # The build of a Space with a GPU adds these to the same pip call. Only metadata is read here.
    added = tmp_path / "added.txt"
    added.write_text(f"torch<=2.13.0\ngradio[oauth,mcp]=={front_matter['sdk_version']}\nspaces\n")
    command = [sys.executable, "-m", "uv", "pip", "compile", "--python-version", front_matter["python_version"]]
    command += ["--python-platform", "x86_64-manylinux_2_28", "--only-binary", ":all:", "--quiet", "--no-header"]
    resolved = subprocess.run(
        [*command, str(HOUSE / "requirements.txt"), str(added)], capture_output=True, text=True, check=False
    )
    if resolved.returncode and "CI" not in os.environ and re.search(r"error sending request|dns", resolved.stderr):
        pytest.skip("no package registry can be reached")
    assert resolved.returncode == 0, resolved.stderr
    versions = dict(re.findall(r"^([\w.-]+)==(\S+)$", resolved.stdout, re.MULTILINE))
    assert versions["gradio"] == front_matter["sdk_version"]
    assert versions["torch"].startswith("2.")
