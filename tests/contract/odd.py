"""Cells of no paper, which put together what the shipped ones do not."""

from celda.language import (
    Cell,
    abs,
    cell,
    deviation,
    diagonal,
    exp,
    gate,
    identity,
    linear,
    maximum,
    mean,
    normalize,
    parameter,
    relu,
    sigmoid,
    softplus,
    stop_gradient,
    tanh,
    time,
    where,
)


@cell
def three_states(x, h, c, n):
    """Two stages, three states, c multiplied too, tanh(h) as an operand, a step's index, a learned vector."""
    i = gate("i", sigmoid, linear(x, h, c) + diagonal(c), bias=-1.0)
    f = gate("f", sigmoid, linear(x, tanh(h)), bias=1.0)
    g = gate("g", tanh, linear(x, i * h) + linear(tanh(x)))
    c = where(time() % 2 == 0, f * c + i * g, c)
    n = 0.5 * n + parameter("pace", init=0.1) * g
    return tanh(c) + n, c, n


@cell
def four_stages(x, h, c):
    """Each gate is fed with the one before."""
    a = gate("a", sigmoid, linear(x, h))
    b = gate("b", softplus, linear(a * h))
    d = gate("d", tanh, linear(b * a, c))
    e = gate("e", relu, linear(d) + diagonal(h))
    c = maximum(c * a, d) - abs(e) / (1 + b)
    return tanh(c) + 0.1 * e, c


@cell
def six_maps(x, h):
    """More linear maps than a tile is wide, of different operands."""
    a, b, f = (gate(name, activation, linear(x, h)) for name, activation in (("a", sigmoid), ("b", tanh), ("f", tanh)))
    c = gate("c", identity, linear(h))
    d = gate("d", exp, linear(x, h) * 0.1)
    e = gate("e", sigmoid, linear(x))
    return a * b + c * e * f / (1 + d)


@cell
def told_twice(x, h, *, image, static):
    """Further inputs in products of their own, alone and with others, at the second stage too."""
    z = gate("z", sigmoid, linear(x) + linear(image, bias=False))
    r = gate("r", sigmoid, linear(h, static))
    n = gate("n", tanh, linear(r * h, image) + tanh(linear(x, bias=False)))
    return n * z + h * (1 - z)


@cell
def deaf(x, h, c):
    """Nothing multiplies a state: no product is left in the sweep."""
    f = gate("f", sigmoid, linear(x) + diagonal(h))
    c = f * c + (1 - f) * gate("g", tanh, linear(x))
    return tanh(c), c


@cell
def comparing(x, h, c):
    """Comparisons in one stage, going forward and back, that another one reads."""
    i = gate("i", tanh, linear(x, c / (1.5 + abs(h))))
    j = gate("j", tanh, linear(x, i * h))
    return where(i < h, i, j), 0.5 * c + where(j > 0.1, j, i)


@cell
def of_differences(x, h, c):
    """A difference of states is multiplied, and a learned vector."""
    p = parameter("p")
    i = gate("i", tanh, linear(x, 2 * h - c) + diagonal(p))
    o = gate("o", sigmoid, linear(p))
    return i * o + 0.5 * h, tanh(h) + 0.1 * p


@cell
def truncated(x, h, c):
    """Gradients are stopped on the way to an input, to states, to a learned vector and between two stages."""
    i = gate("i", sigmoid, linear(stop_gradient(x), stop_gradient(h)) + stop_gradient(parameter("p")))
    f = gate("f", sigmoid, linear(x, stop_gradient(i * c)) + diagonal(stop_gradient(c)))
    g = gate("g", tanh, linear(x, f * h))
    c = f * c + stop_gradient(i) * g
    return tanh(c) * i, c


@cell
def statistical(x, h, c):
    """Means and deviations by themselves: as values, and as what is divided by, in their stage and in the next."""
    a = linear(x, h)
    i = gate("i", tanh, 0.5 * (a - mean(a)) / deviation(a))
    g = gate("g", sigmoid, linear(x, i * h) / deviation(a) + 0.1 * deviation(c))
    c = 0.5 * c + g * i + mean(g)
    return tanh(c) - 0.5 * mean(c), c


@cell
def of_its_output(x, h, c, n):
    """The output is a gate, what is normalised, and another state too; a gate is the negative of a value."""
    f = gate("f", lambda a: -softplus(-a), linear(x, h))
    h = gate("h", tanh, linear(x, c) + exp(f) * n)
    c = 0.5 * c + normalize(h)
    return h, c, h


@cell
def delayed(x, h, c):
    """The output is what another state was, which is multiplied, and a vector's too."""
    g = gate("g", tanh, linear(x, h, c) + diagonal(c))
    return c, g * c + 0.5 * g


@cell
def of_vectors(x, h, c):
    """Nothing is multiplied by a matrix."""
    i = gate("i", sigmoid, diagonal(h) + parameter("p", init=0.3))
    return tanh(c) * i, 0.5 * c + i


ODD: dict[str, Cell] = {
    c.name: c
    for c in (
        *(three_states, four_stages, six_maps, told_twice, deaf, comparing, of_differences, truncated, statistical),
        of_its_output,
        delayed,
        of_vectors,
    )
}
