"""Few cases that hold every pair of values."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from random import Random
from typing import Any


def covering(factors: Mapping[str, Sequence[Any]], seed: int) -> list[dict[str, Any]]:
    """Choices of one value a factor, such that any two values of different factors are together in one of them.

    Drawn from `seed`: other seeds bring other values together by threes and more.
    """
    rng, names = Random(seed), list(factors)
    left = {
        frozenset([(a, i), (b, j)])
        for a, b in combinations(names, 2)
        for i in range(len(factors[a]))
        for j in range(len(factors[b]))
    }
    cases = []
    while left:
        chosen = dict(rng.choice(sorted(map(sorted, left))))
        for name in rng.sample(names, len(names)):
            if name not in chosen:
                numbers = rng.sample(range(len(factors[name])), len(factors[name]))
                chosen[name] = max(
                    numbers, key=lambda k: sum(frozenset([(name, k), other]) in left for other in chosen.items())
                )
        left -= {frozenset(pair) for pair in combinations(chosen.items(), 2)}
        cases.append({name: factors[name][chosen[name]] for name in names})
    return cases
