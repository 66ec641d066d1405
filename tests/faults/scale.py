"""How often a fault is injected, and how often it has been: the long form can be resumed.

In CI each run is short and starts at nothing. With FAULTS_SCALE=full a run goes to its full figure
and keeps what it has done in .faults/, so that the next call goes on where this one was stopped.
A failure is kept too: a later success does not hide it.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

STATE = Path(__file__).parents[2] / ".faults"
FULL = os.environ.get("FAULTS_SCALE") == "full"


class Run:
    """The count of one kind of fault. `while run.left: with run.counting(n): ...`"""

    def __init__(self, name: str, *, ci: int, full: int) -> None:
        self.name = name
        self.target = full if FULL else ci
        self._file = STATE / f"{name}.json"
        self._state: dict[str, int] = {"done": 0}
        self._failed: list[str] = []
        self._figures: dict[str, float] = {}
        if FULL and self._file.exists():
            kept = json.loads(self._file.read_text())
            self._state["done"] = kept["done"]
            self._failed = kept["failed"]
            self._figures = kept["worst"]

    @property
    def done(self) -> int:
        return self._state["done"]

    @property
    def left(self) -> int:
        """How many are still to be injected; fails at the end for what failed on the way."""
        left = max(self.target - self.done, 0)
        assert left or not self._failed, (
            f"{len(self._failed)} failed earlier: {self._failed}; delete {self._file} to forget"
        )
        return left

    @contextlib.contextmanager
    def counting(self, count: int) -> Iterator[None]:
        """So many faults, counted when nothing was found wrong with what became of them."""
        at = f"{self.done + 1} to {self.done + count}"
        try:
            yield
        except Exception as error:
            self._failed.append(f"{at}: {str(error).splitlines()[0] if str(error) else error!r}")
            self._keep()
            raise
        self._state["done"] += count
        self._keep()

    def worst(self, **figures: float) -> None:
        """Figures of which the largest is kept and told."""
        for name, value in figures.items():
            self._figures[name] = round(max(value, self._figures.get(name, value)), 3)

    def _keep(self) -> None:
        figures = " ".join(f"{name}={value:g}" for name, value in self._figures.items())
        print(f"{self.name}: {self.done} of {self.target}, {len(self._failed)} failed {figures}")
        if not FULL:
            return
        STATE.mkdir(exist_ok=True)
        state = {
            "done": self.done,
            "target": self.target,
            "failed": self._failed,
            "worst": self._figures,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(state, indent=1) + "\n")
        fresh.replace(self._file)
