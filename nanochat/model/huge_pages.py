"""Large tensors on large pages of memory: a processor that reads a model for every token finds each page sooner.

Linux gives memory in pages of 4 kB unless a program asks for 2 MB. A matrix product over weights on small pages spends
a fifth of its time looking up where the next page lies, more so in a virtual machine, where each lookup is two.
torch's allocator asks for large pages where an environment variable of its own says so:
https://github.com/pytorch/pytorch/commit/5a4f1363409f70865634332c0b5284555ea1cb24
"""

from __future__ import annotations

import os

_TORCH_ASKS_FOR_THEM = "THP_MEM_ALLOC_ENABLE"


def use_huge_pages() -> None:
    """Let tensors of 2 MB and more lie on huge pages, unless the environment says otherwise.

    torch looks at this once, when it makes its first tensor: call it before. Where the system has no such pages, or
    gives them to everybody, it changes nothing.
    """
    os.environ.setdefault(_TORCH_ASKS_FOR_THEM, "1")
