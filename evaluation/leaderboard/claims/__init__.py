"""Papers' claims and runs come in, verdicts go out: as data, as a page, for a terminal."""

from disentangle_bench.evaluation.leaderboard.claims.judging import (
    CONTRADICTED,
    HOLDS,
    NOT_RUN,
    NOT_SHOWN,
    WEAKER,
    Claim,
    Judged,
    Side,
    judge,
)

__all__ = ["CONTRADICTED", "HOLDS", "NOT_RUN", "NOT_SHOWN", "WEAKER", "Claim", "Judged", "Side", "judge"]
