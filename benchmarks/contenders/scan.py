"""The LSTM as `jax.lax.scan`, jitted, float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from benchmarks.contenders.contender import Ready, numbers, seeded
from benchmarks.shapes import Shape, flops


def train(input_first: bool) -> Callable[[Shape], Ready]:
    """Gradients of <y, what comes back>.

    `input_first`: the product with the input is done for all steps at once, before the scan. That is faster at some
    shapes and slower at others.
    """

    def build(shape: Shape) -> Ready:
        import jax
        from jax import numpy as jnp

        def loss(x: Any, w: Any, r: Any, b: Any, q: Any, above: Any) -> Any:
            def over(x: Any) -> Any:
                return x @ w.T + (b + q)

            def step(state: tuple[Any, Any], x: Any) -> tuple[tuple[Any, Any], Any]:
                h, c = state
                i, f, g, o = jnp.split((x if input_first else over(x)) + h @ r.T, 4, -1)
                c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
                h = jax.nn.sigmoid(o) * jnp.tanh(c)
                return (h, c), h

            zeros = jnp.zeros((x.shape[1], r.shape[1]), x.dtype)
            _, y = jax.lax.scan(step, (zeros, zeros), over(x) if input_first else x)
            return jnp.vdot(y, above)

        layer, (x, above) = seeded(nn.LSTM, shape), numbers(shape)
        arrays = [jnp.asarray(t.detach().numpy()) for t in (x, *layer.parameters(), above)]
        gradients = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2, 3, 4)))
        return Ready(lambda: jax.block_until_ready(gradients(*arrays))[1], flops(layer, shape, training=True))

    return build
