"""Where tensors lie: asked of the system itself, in processes that have made no tensor yet."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import app
from nanochat import __main__ as command_line
from nanochat.errors import SettingsError

VARIABLE = "THP_MEM_ALLOC_ENABLE"
SYSTEM = Path("/sys/kernel/mm/transparent_hugepage/enabled")
MADE = """
import nanochat, torch
from nanochat.settings import use_huge_pages
use_huge_pages()
tensor = torch.ones(16 * 2**20)
print(open("/proc/self/smaps_rollup").read())
"""


KEPT = """
import torch
from nanochat import NanoChatConfig
from nanochat.model.cache import SlotCache
from nanochat.settings import use_huge_pages
use_huge_pages()
sizes = dict(hidden_size=1024, num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=8)
cache = SlotCache(NanoChatConfig(**sizes), 2, 4096, dtype=torch.float32, device=torch.device("cpu"))
assert cache.size_bytes == 2**28
for layer in cache.layers:
    layer[0, :, :8] = 1.0
print(open("/proc/self/smaps_rollup").read())
"""

only_where_asked_for = pytest.mark.skipif(
    not SYSTEM.exists() or "[madvise]" not in SYSTEM.read_text(), reason="the system gives huge pages to all or nobody"
)


@only_where_asked_for
@pytest.mark.parametrize(("environment", "least", "most"), [({}, 32, 96), ({VARIABLE: "0"}, 0, 16)])
def test_large_tensors_lie_on_huge_pages_unless_the_environment_says_no(
    environment: dict[str, str], least: int, most: int
) -> None:
    assert least <= huge_megabytes(MADE, **environment) <= most


@only_where_asked_for
def test_a_slot_claims_no_more_than_its_tokens_take() -> None:
    assert huge_megabytes(KEPT) <= 16


def huge_megabytes(program: str, **environment: str) -> float:
    """Return how much lies on huge pages when the program ends."""
    inherited = {name: value for name, value in os.environ.items() if name != VARIABLE}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=True)
    found = re.search(r"AnonHugePages: +(\d+) kB", done.stdout)
    assert found
    return int(found[1]) / 1024


def test_each_program_asks_for_them_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "take_short_turns", lambda: None)
    monkeypatch.setenv("NANOCHAT_SLOTS", "no number")
    for program, refused in ((app.main, SettingsError), (lambda: command_line.main(["bench", "nothing"]), SystemExit)):
        monkeypatch.delenv(VARIABLE, raising=False)
        with pytest.raises(refused):
            program()
        assert os.environ[VARIABLE] == "1"
