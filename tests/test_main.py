"""The command line as its users see it: a process, its streams and its exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nanochat.__main__ import main
from nanochat.chat.sampling import LIMITS, SamplingSettings

HOUSE = Path(__file__).parent.parent
HELLO = '{"role": "user", "content": "Hello"}'
GREEDY = ("--temperature", "0", "--max-tokens", "5", "--device", "cpu", "--threads", "1")


def nanochat(*arguments: str, typed: str | bytes = "") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "nanochat", *arguments],
        input=typed if isinstance(typed, bytes) else typed.encode(),
        capture_output=True,
        cwd=HOUSE,
        timeout=120,
        check=False,
    )


def test_run_answers_each_line_and_goes_on_after_a_bad_one(tiny_checkpoint: Path) -> None:
    lines = f'{HELLO}\n{{"role": "user"\n\xff\n[{HELLO}]\n'.encode("latin-1")
    done = nanochat("run", "--model", str(tiny_checkpoint), *GREEDY, "--json", typed=lines)
    answers = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert [answer["role"] for answer in answers] == ["assistant", "assistant"]
    assert answers[0] == answers[1]
    complaints = done.stderr.decode().splitlines()
    assert [line.split(":")[0] for line in complaints] == ["Line 2", "Line 3"]
    assert done.returncode == 2


def test_chat_talks_and_leaves(tiny_checkpoint: Path) -> None:
    done = nanochat("chat", "--model", str(tiny_checkpoint), *GREEDY, typed="Hello\n/seed 4\n/quit\n")
    shown = done.stdout.decode()
    assert "Type a message, or /help." in shown
    assert "seed is 4." in shown
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_reader_who_has_gone_is_no_traceback(tiny_checkpoint: Path) -> None:
    command = [sys.executable, "-m", "nanochat", "run", "--model", str(tiny_checkpoint), *GREEDY]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=HOUSE
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stdin.write(f"{HELLO}\n".encode() * 3)
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=120) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["run", "--model", "no/such folder"], 2, "NANOCHAT_MODEL is 'no/such folder', but must be \"embedded\""),
        (["run", "--device", "gpu"], 2, "NANOCHAT_DEVICE is 'gpu', but must be auto, cpu, cuda, cuda:N, mps or all."),
        (["chat", "--temperature", "7"], 2, "temperature must be a number from 0 to 2."),
        (["chat", "--seed", "-1"], 2, "seed must be a whole number from 0"),
        (["run", "--model", str(HOUSE / "tests"), "--device", "cpu"], 1, "config.json is missing."),
        (["run", "--device", "cuda:99"], 1, "This machine has no device cuda:99"),
    ],
)
def test_what_is_not_allowed_is_one_sentence_and_a_status(
    arguments: list[str], status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == status
    output = capsys.readouterr()
    assert told in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""


@pytest.mark.parametrize("arguments", [[], ["sing"], ["chat", "--temperature", "warm"]])
def test_what_is_not_understood_is_shown_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: python -m nanochat" in capsys.readouterr().err


def test_every_setting_is_an_option_of_its_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("chat", "run"):
        with pytest.raises(SystemExit):
            main([verb, "--help"])
        shown = capsys.readouterr().out
        for name in (*SamplingSettings.__dataclass_fields__, *LIMITS, "system_prompt", "model", "device", "dtype"):
            assert f"--{name.replace('_', '-')}" in shown
