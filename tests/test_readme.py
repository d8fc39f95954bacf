"""README.md does what it says: its commands, its programs and its drawing of the folders are tried here."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanochat.settings import PREFIX, Settings
from nanochat.ui.controls import ABOUT
from tests.serving import Server, app

HOUSE = Path(__file__).parent.parent
TEXT = (HOUSE / "README.md").read_text()
PRINTED_URL = "http://127.0.0.1:7860"
SCRIPTS = Path(sysconfig.get_path("scripts"))


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language, those without one under the empty name."""
    # All blocks are read in order, or the end of one would be taken for the beginning of another.
    found = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return [block for name, block in found if name == language]


def block_with(words: str, language: str) -> str:
    (found,) = [block for block in blocks(language) if words in block]
    return found


PROGRAMS = [block for block in blocks("python") if "gradio_client" in block]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    assert blocks("bash")[0].strip().endswith("&& python app.py")
    with app(tmp_path_factory.mktemp("page") / "log") as server:
        yield server


def test_the_tree_is_the_one_of_the_folders() -> None:
    (tree,) = [block for block in blocks("") if "app.py" in block]
    drawn = {}
    parent = ""
    for line in tree.splitlines():
        name, description = re.fullmatch(r"\s*(\S+)\s{2,}(.+)", line).groups()
        parent = parent if line.startswith("  ") else name
        drawn[name if line.startswith(name) else parent + name] = description
    assert all((HOUSE / name).exists() for name in drawn)
    assert all(description.endswith(".") for description in drawn.values())
    layers = {f"nanochat/{folder}/" for folder in folders(HOUSE / "nanochat")}
    assert {name for name in drawn if name.startswith("nanochat/")} == layers | {"nanochat/"}
    beside = folders(HOUSE / "tests") - folders(HOUSE / "nanochat")
    assert {name for name in drawn if name.startswith("tests/")} == {f"tests/{name}/" for name in beside} | {"tests/"}


def folders(parent: Path) -> set[str]:
    return {path.name for path in parent.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))}


def test_every_file_it_points_to_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", TEXT)
    assert links
    assert [link for link in links if not (HOUSE / link).exists()] == []


def test_every_module_it_names_is_there() -> None:
    named = re.findall(r"`((?:chat|ui|model|lens|recipe)/\w+\.py)`", TEXT)
    assert named
    assert [name for name in named if not (HOUSE / "nanochat" / name).is_file()] == []


def test_its_table_of_variables_is_the_settings() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)
    assert rows == [*(PREFIX + field.name.upper() for field in dataclasses.fields(Settings)), "HF_TOKEN"]


def test_it_names_every_setting_of_an_answer() -> None:
    sentence = TEXT[TEXT.index("The settings are called the same everywhere") :].partition("There are")[0]
    assert set(ABOUT) <= set(re.findall(r"`(\w+)`", sentence))


def test_its_two_commands_are_the_ones_that_ci_runs() -> None:
    script = (HOUSE / ".ci" / "run").read_text()
    for command in (*blocks("bash")[0].split(" && "), *block_with("pytest", "bash").split(" && ")):
        step = command.strip().removeprefix("pip install ")
        assert step in script or step == "python app.py"


@pytest.mark.parametrize("command", block_with("hf repos", "bash").splitlines())
def test_the_commands_that_deploy_exist_with_their_options(command: str) -> None:
    words = command.split()
    names = words[1:3] if words[1] in ("repos", "spaces") else words[1:2]
    wide = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    help_text = subprocess.run(
        [SCRIPTS / "hf", *names, "--help"], env=wide, capture_output=True, text=True, check=True
    ).stdout
    options = [word for word in words if word.startswith("--")]
    assert [option for option in options if option not in help_text] == []
    if "--flavor" in options:
        assert words[words.index("--flavor") + 1] in help_text


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: re.search(r'api_name="(\S+)"', program)[1])
def test_its_programs_run_against_the_page(page: Server, program: str) -> None:
    ast.parse(program)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program.replace(PRINTED_URL, page.url), "README.md", "exec"), {})
    assert printed.getvalue().strip()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_its_curl_commands_run_against_the_page(page: Server) -> None:
    script = block_with("curl", "bash").replace(PRINTED_URL, page.url)
    printed = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "event: complete" in printed


def test_the_model_answers_as_a_pipeline() -> None:
    program = block_with("pipeline(", "python")
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=HOUSE, capture_output=True, text=True, timeout=120, check=False
    )
    assert printed.returncode == 0, printed.stderr
    assert "assistant" in printed.stdout


@pytest.mark.parametrize("command", block_with("nanochat chat", "bash").splitlines())
def test_the_terminal_answers(command: str) -> None:
    question = "What is the capital of France?\n"
    printed = subprocess.run(
        ["bash", "-c", command.replace("python", sys.executable)],
        cwd=HOUSE,
        input=question,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.strip(" >\n")
