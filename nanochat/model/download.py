"""Fetch files of a model repository into the Hugging Face cache. This file runs as a process of its own: see hub.py.

It imports nothing of the package, so that it starts in a moment, and speaks JSON, a line a message:

    in, as the only argument   {"repository": …, "revision": … or null, "files": […], "offline": …}
    out, any number of times   {"done_bytes": …, "total_bytes": …}
    out, once, the last        {"folder": …}  or  {"names": […]} where no files were asked for,
                               or  {"error": …}, what is wrong with the model,  or  {"unusable": …}, with the Hub

What is not foreseen here ends in a traceback on standard error and in an exit status.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from huggingface_hub import HfApi, constants, errors, snapshot_download
from tqdm import tqdm

# The client hands bytes on, and so reports them, in pieces of this size; its own are so large that a
# slow line would look dead.
PIECE_BYTES = 64 * 1024
REPORT_SECONDS = 0.1


class Reporter(tqdm):  # type: ignore[misc]
    """A progress bar that is not drawn but reported.

    The client makes several: one counts files, one or two count bytes; of two, the second knows the true total.
    """

    counted: Reporter | None = None
    done_bytes = 0
    reported_at = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "disable": False})
        if kwargs.get("unit") == "B":
            Reporter.counted = self

    def display(self, *_: Any, **__: Any) -> bool:
        return False

    def update(self, n: float | None = 1) -> None:
        super().update(n)
        if self.unit != "B" or self.n <= Reporter.done_bytes or Reporter.counted is None:
            return
        Reporter.done_bytes, total = int(self.n), int(Reporter.counted.total or 0)
        if time.monotonic() - Reporter.reported_at > REPORT_SECONDS or Reporter.done_bytes >= total:
            Reporter.reported_at = time.monotonic()
            say(done_bytes=Reporter.done_bytes, total_bytes=total)


def say(**message: Any) -> None:
    # One write, so that lines of two threads do not mix.
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def fetch(repository: str, revision: str | None, files: list[str], offline: bool) -> dict[str, Any]:
    """Return the last message. Without `files`, only the names of what the repository holds are asked for."""
    if not files:
        return {"names": HfApi().list_repo_files(repository, revision=revision)}
    folder = snapshot_download(
        repository, revision=revision, allow_patterns=files, local_files_only=offline, tqdm_class=Reporter
    )
    return {"folder": folder}


def main(request: str) -> None:
    constants.DOWNLOAD_CHUNK_SIZE = PIECE_BYTES
    say(done_bytes=0, total_bytes=0)
    wanted = json.loads(request)
    try:
        say(**fetch(**wanted))
    # From the particular to the general: a gated repository is also one that is not found.
    except errors.GatedRepoError:
        say(error="is gated: accept its terms on its page on the Hub and set HF_TOKEN")
    except errors.RepositoryNotFoundError:
        say(error="is not on the Hub, or it is private: check the name, or set HF_TOKEN")
    except errors.RevisionNotFoundError:
        say(error=f"has no revision {wanted['revision']!r}")
    except errors.LocalEntryNotFoundError as error:
        say(error=f"is not in the cache of this machine, and the Hub {cause(error.__cause__)}")
    except errors.HfHubHTTPError as error:
        say(error=f"could not be fetched: the Hub {cause(error)}")
    except errors.HFValidationError:
        say(error="has a name that the Hub does not allow")
    except (ValueError, KeyError, TypeError):
        say(unusable="what answers in the Hub's place is not a Hub.")


def cause(error: BaseException | None) -> str:
    """Say what the Hub did; the text of the error itself may hold addresses and keys that are private."""
    if isinstance(error, errors.HfHubHTTPError):
        return f"answered with status {error.response.status_code}"
    return f"could not be reached ({type(error).__name__})" if error else "was not asked"


if __name__ == "__main__":
    main(sys.argv[1])
