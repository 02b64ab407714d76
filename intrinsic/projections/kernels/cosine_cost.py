"""What the transforms of a matrix cost the kernels, and which of its axes they transform."""

UNROLLED, WIDTH = range(2, 9), 32  # the lengths of short passes; lines of a matrix that are transformed together
LIBRARY = 4.5e-9  # seconds of one thread for a number of a matrix that scipy transforms along both axes

# seconds of one thread for a number: each short pass, each term of a long one, all else, and more for lines that lie
# across the memory and those that are too long for the second-level cache
_PASS, _TERM, _BESIDE, _ACROSS, _LONG = 1e-10, 7e-11, 3.6e-10, 1.5e-10, 1e-9
_LONGEST = 4096
_ADD, _TURN = 6e-11, 1.1e-10  # for a line: to add a coefficient's wave; to turn a wave


def radices(count: int) -> list[int]:
    """The lengths of the passes that transform `count` numbers, whose product it is: few short ones, then primes."""
    found, radix = [], max(UNROLLED)
    while count > 1:
        if count % radix == 0:
            found.append(radix)
            count //= radix
        elif radix in UNROLLED[1:]:
            radix -= 1
        else:
            radix = count if radix * radix > count else radix + 2 if radix > max(UNROLLED) else max(UNROLLED) + 3
    return found


def cost(rows: int, columns: int, count: int) -> tuple[float, bool]:
    """Seconds for `count` coefficients, and whether the numbers of a row are transformed, not those of a column."""
    return min((_cost(rows, columns, count, 0.0), False), (_cost(columns, rows, count, _ACROSS), True))


def _cost(length: int, width: int, count: int, more: float) -> float:
    passes = sum(_PASS if radix in UNROLLED else _TERM * radix for radix in radices(length))
    each = passes + _BESIDE + more + (_LONG if length > _LONGEST else 0)
    return -(-width // WIDTH) * WIDTH * (length * each + count * _ADD + min(count, width) * _TURN)
