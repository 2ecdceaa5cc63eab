"""The grammar of training-set sizes: `1..256`, `10..160:x2`, `1..10:+3`, `1,5,20`."""

from __future__ import annotations

import re

from medscale.errors import ConfigError

_RANGE = re.compile(r"(\d+)\.\.(\d+)(?::([x+])(\d+))?")
_LIMIT = 10_000


def parse_sizes(text: str) -> tuple[int, ...]:
    """Parse sizes such as `1..256`, which doubles: 1, 2, 4, …, 256.

    `a..b:xk` multiplies by k, `a..b:+k` adds k, and commas join parts. A range that does not
    hit its end exactly stops before it.

    Returns:
        The sizes, ascending, each once.

    Raises:
        ConfigError: If the text has another form or a size is not positive.
    """
    sizes: set[int] = set()
    for part in map(str.strip, text.split(",")):
        match = _RANGE.fullmatch(part)
        if match:
            sizes.update(_range(part, match))
        elif part.isascii() and part.isdigit():
            sizes.add(int(part))
        else:
            raise ConfigError(
                f"--sizes got {part!r}, expected numbers or ranges such as 1..256, 10..160:x2, "
                "1..10:+3 or 1,5,20"
            )
    if min(sizes) < 1:
        raise ConfigError(f"--sizes got {text!r}: a training set has at least 1 image")
    return tuple(sorted(sizes))


def _range(part: str, match: re.Match[str]) -> list[int]:
    first, last = int(match[1]), int(match[2])
    multiply = match[3] != "+"
    step = int(match[4] or 2)
    if first < 1 or last < first or step < (2 if multiply else 1):
        raise ConfigError(
            f"--sizes got {part!r}: a range rises from at least 1, by x2 or more, or by +1 or more"
        )
    sizes = []
    size = first
    while size <= last:
        sizes.append(size)
        if len(sizes) > _LIMIT:
            raise ConfigError(f"--sizes got {part!r}: more than {_LIMIT} sizes; use a larger step")
        size = size * step if multiply else size + step
    return sizes


def format_sizes(sizes: tuple[int, ...]) -> str:
    """Return sizes as people write them: `1, 2, 4`."""
    return ", ".join(str(size) for size in sizes)
