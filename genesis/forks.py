"""Forks of Ethereum's execution layer and when each begins, as a genesis file says it.

Rules compare: ``fork >= Fork.LONDON``. Forks up to Paris begin at a block number, later ones at a
timestamp (geth's ``config``); blob parameters may change without a fork (EIP-7892).
"""

from dataclasses import dataclass
from enum import IntEnum


class Fork(IntEnum):
    """Forks that changed the rules of execution, in order; difficulty-bomb forks are not here."""

    FRONTIER = 0
    HOMESTEAD = 1
    TANGERINE_WHISTLE = 2
    SPURIOUS_DRAGON = 3
    BYZANTIUM = 4
    CONSTANTINOPLE = 5
    PETERSBURG = 6
    ISTANBUL = 7
    MUIR_GLACIER = 8
    BERLIN = 9
    LONDON = 10
    ARROW_GLACIER = 11
    GRAY_GLACIER = 12
    PARIS = 13
    SHANGHAI = 14
    CANCUN = 15
    PRAGUE = 16
    OSAKA = 17


@dataclass(frozen=True, slots=True)
class BlobParameters:
    """Blob limits from one moment on (EIP-7840).

    Attributes:
        target, max: blobs per block.
        base_fee_update_fraction: denominator of the blob base fee's exponent.
    """

    target: int
    max: int
    base_fee_update_fraction: int


@dataclass(frozen=True, slots=True)
class ForkSchedule:
    """When each fork begins. A fork that is not named begins with the next later one.

    Attributes:
        blocks: (block number, fork) ascending, Paris and earlier; the first is (0, ...).
        times: (timestamp, fork) ascending, Shanghai and later.
        blobs: (timestamp, parameters) ascending, Cancun and later; changes of the parameters, with
            a fork or without.
        terminal_total_difficulty: as the genesis file says it; Paris begins by block number.
    """

    blocks: tuple[tuple[int, Fork], ...]
    times: tuple[tuple[int, Fork], ...] = ()
    blobs: tuple[tuple[int, BlobParameters], ...] = ()
    terminal_total_difficulty: int = 0

    def fork(self, number: int, timestamp: int) -> Fork:
        """Rules of the block with this number and timestamp (seconds)."""
        found = self.blocks[0][1]
        for start, fork in self.blocks:
            if number >= start:
                found = fork
        for start, fork in self.times:
            if timestamp >= start:
                found = max(found, fork)
        return found

    def blob_parameters(self, timestamp: int) -> BlobParameters | None:
        """Blob limits at a timestamp; None before Cancun."""
        found = None
        for start, parameters in self.blobs:
            if timestamp >= start:
                found = parameters
        return found

    def change_times(self) -> tuple[int, ...]:
        """Every timestamp at which a fork begins or blob parameters change, ascending."""
        return tuple(sorted({start for start, _ in (*self.times, *self.blobs)}))


CANCUN_BLOBS = BlobParameters(3, 6, 3_338_477)
PRAGUE_BLOBS = BlobParameters(6, 9, 5_007_716)


def schedule_of(fork: Fork) -> ForkSchedule:
    """The schedule in which ``fork`` holds from the first block on, with mainnet's blob limits."""
    if fork <= Fork.PARIS:
        return ForkSchedule(((0, fork),))
    blobs = {Fork.CANCUN: CANCUN_BLOBS, Fork.PRAGUE: PRAGUE_BLOBS, Fork.OSAKA: PRAGUE_BLOBS}
    return ForkSchedule(
        blocks=((0, Fork.PARIS),),
        times=((0, fork),),
        blobs=((0, blobs[fork]),) if fork in blobs else (),
    )


OSAKA_FROM_GENESIS = schedule_of(Fork.OSAKA)
"""Every rule up to Osaka from the first block: the default of new genesis files."""
