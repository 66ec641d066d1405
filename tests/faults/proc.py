"""What /proc tells of a running service: its readers, its memory, its descriptors."""

import contextlib
from pathlib import Path


def readers(pid: int) -> list[int]:
    """The reader processes of a service."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return [child for child in found if b"bouncer.reader" in _command(child)]


def memory(pid: int, field: str = "VmRSS") -> int:
    """A figure of /proc/pid/status in octets: VmRSS now, VmHWM at its highest; 0 if it is gone."""
    return int(_status(pid).get(field, "0").split()[0]) * 1024


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def tracer(pid: int) -> int:
    """The process that traces it; 0 for none."""
    return int(_status(pid).get("TracerPid", "0"))


def lives(pid: int) -> bool:
    """Whether it runs: not gone, and not waiting only for somebody to ask how it ended."""
    return _status(pid).get("State", "Z")[0] not in "ZX"


def is_limited(pid: int, address_space: int) -> bool:
    """Whether a reader has set its limit, which it does last before it reads."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
            if line.startswith("Max address space"):
                return line.split()[3] == str(address_space)
    return False


def _status(pid: int) -> dict[str, str]:
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {}


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
