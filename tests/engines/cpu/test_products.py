"""Products of matrices by machine code."""

import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from celda.cells import lstm
from celda.engines.cpu import kernels, machine, noise, products
from celda.engines.cpu.products import Matrix, Product
from celda.engines.cpu.script import Script
from tests.tolerances import TOLERANCES

LARGEST = products.largest
SIZES = (1, 2, 7, 16, 17, 33, 64, 70, 130)
DTYPES = (torch.float32, torch.float64)
KINDS = DTYPES + (torch.bfloat16,) * kernels.multiplies_bfloat16(lstm)  # the last of float32 in pairs


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch):
    """Never torch's library, and always on several threads."""
    monkeypatch.setattr(products, "largest", lambda: 10**12)
    monkeypatch.setattr(products, "WORTH", -1)


def inside(*size: int, dtype: torch.dtype, edge: float) -> tuple[Tensor, Tensor]:
    """A matrix inside a larger one, all of whose other elements are `edge`; and that one."""
    whole = torch.full((size[0] + 2, size[1] + 5), edge, dtype=dtype)
    part = whole[1:-1, 2:-3]
    part.normal_(generator=torch.Generator().manual_seed(sum(size)))
    return part, whole


class Wanted(NamedTuple):
    """`products.Product` of tensors."""

    a: Tensor
    b: Tensor
    out: Tensor
    adds: bool
    parts: Sequence[tuple[int, int, int, int]] = ()


def multiply(wanted: Sequence[Wanted], pairs: bool = False) -> None:
    script, tensors, found = Script(), {}, []
    for k, one in enumerate(wanted):
        new = {f"{name}{k}": getattr(one, name) for name in ("a", "b", "out")}
        found.append(Product(*(Matrix.of(*pair) for pair in new.items()), one.adds, one.parts))
        tensors |= new
    products.multiply(script, found, wanted[0].out.dtype if wanted else torch.float32, pairs)
    script.run(tensors)


def check(m: int, n: int, depth: int, kind: torch.dtype, turned: bool, adds: bool) -> None:
    nan, dtype = float("nan"), torch.float32 if kind is torch.bfloat16 else kind
    a = inside(depth, m, dtype=dtype, edge=nan)[0].t() if turned else inside(m, depth, dtype=dtype, edge=nan)[0]
    a /= depth**0.5  # so that the sums are of about the same size
    b, (out, around) = inside(depth, n, dtype=dtype, edge=nan)[0], inside(m, n, dtype=dtype, edge=7.0)
    expected = a.to(kind).double() @ b.to(kind).double() + (out.double() if adds else 0)
    if not adds:
        out.fill_(nan)
    multiply([Wanted(a, b, out, adds)], kind is torch.bfloat16)
    torch.testing.assert_close(out.double(), expected, **TOLERANCES["cpu", dtype])
    out.fill_(7.0)
    assert (around == 7).all()  # nothing was written beside it


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("m", SIZES)
def test_a_product_of_any_sizes(m, threads, kind, torch_threads):
    torch_threads(threads)
    for k, n in enumerate(SIZES):
        depth = SIZES[(k + m) % len(SIZES)]
        check(m, n, depth, kind, turned=k % 2 == 0, adds=k % 3 == 0)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("depth", [products.DEPTH - 1, products.DEPTH, products.DEPTH + 1, 3 * products.DEPTH])
def test_terms_are_summed_up_part_by_part(depth, kind):
    for adds in (False, True):
        check(20, 37, depth, kind, turned=True, adds=adds)


def test_several_products_come_one_after_the_other():
    a, b, c = (torch.randn(size, dtype=torch.float64) for size in ((40, 9), (9, 40), (9, 40)))
    out = torch.full((40, 40), float("nan"), dtype=torch.float64)
    multiply([Wanted(a, b, out, False), Wanted(a, c, out, True)])
    torch.testing.assert_close(out, a @ b + a @ c)


def test_only_some_parts_are_computed():
    a, b = torch.randn(24, 50, dtype=torch.float64), torch.randn(50, 21, dtype=torch.float64)
    out = torch.full((24, 21), 7.0, dtype=torch.float64)
    multiply([Wanted(a, b, out, False, [(0, 8, 0, 7), (8, 24, 5, 21)])])
    expected = torch.full_like(out, 7.0)
    expected[:8, :7], expected[8:, 5:] = a[:8] @ b[:, :7], a[8:] @ b[:, 5:]
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("small", [-1, 10**12], ids=["library", "machine code"])
@pytest.mark.parametrize(("m", "n", "depth"), [(1, 1, 1), (33, 17, 7), (70, 130, 33), (5, 16, products.DEPTH + 3)])
def test_rows_may_lie_where_a_table_says(m, n, depth, small, threads, kind, monkeypatch, torch_threads):
    monkeypatch.setattr(products, "largest", lambda: small)
    torch_threads(threads)
    nan, dtype = float("nan"), torch.float32 if kind is torch.bfloat16 else kind
    a = inside(m, depth, dtype=dtype, edge=nan)[0] / depth**0.5  # so that the sums are of about the same size
    b, (out, around) = inside(2 * depth, n, dtype=dtype, edge=nan)[0], inside(2 * m, n, dtype=dtype, edge=nan)
    order = torch.Generator().manual_seed(m)
    # of each, one row more than is asked for comes before
    tables = {"some": torch.randperm(2 * depth, generator=order)[: depth + 1]}
    tables["others"] = torch.randperm(2 * m, generator=order)[: m + 1]
    tensors = {"a": a, "b": b, "out": out, **tables}
    matrices = [Matrix.of(name, tensors[name]) for name in ("a", "b", "out")]
    matrices[1] = matrices[1]._replace(rows=depth + 1, table="some").cut(1, depth + 1)
    matrices[2] = matrices[2]._replace(rows=m + 1, table="others").cut(1, m + 1)
    expected = around.clone()
    product = a.to(kind).double() @ b[tables["some"][1:]].to(kind).double()
    for adds in (False, True):
        script = Script()
        products.multiply(script, [Product(*matrices, adds)], dtype, kind is torch.bfloat16)
        script.run(tensors)
        expected[1:-1, 2:-3][tables["others"][1:]] = ((1 + adds) * product).to(dtype)
        torch.testing.assert_close(around, expected, equal_nan=True, **TOLERANCES["cpu", dtype])


@pytest.mark.parametrize("small", [-1, 10**12], ids=["library", "machine code"])
def test_no_terms_are_zero(small, monkeypatch):
    monkeypatch.setattr(products, "largest", lambda: small)
    for adds, expected in ((False, 0.0), (True, 3.0)):
        out = torch.full((4, 5), 3.0)
        multiply([Wanted(torch.ones(4, 0), torch.ones(0, 5), out, adds)])
        assert (out == expected).all()
    multiply([])


@pytest.mark.parametrize("adds", [False, True])
def test_large_ones_are_left_to_the_library(adds, monkeypatch):
    monkeypatch.setattr(products, "largest", lambda: -1)
    monkeypatch.setattr(products.Script, "kernel", lambda *_, **__: pytest.fail("this was machine code"))
    a, b, out = torch.randn(4, 3), torch.randn(3, 5), torch.full((4, 5), 1.0 if adds else float("nan"))
    multiply([Wanted(a, b, out, adds)])
    torch.testing.assert_close(out, a @ b + (1 if adds else 0))


@pytest.mark.parametrize(("m", "n"), [(70, 33), (7, 130)], ids=["rows shared", "columns shared"])
def test_the_bits_do_not_depend_on_the_threads(torch_threads, m, n):
    found = []
    for threads in (1, 2, 3):
        torch_threads(threads)
        g = torch.Generator().manual_seed(0)
        a, b = torch.randn(m, 300, generator=g), torch.randn(300, n, generator=g)
        found.append(torch.empty(m, n))
        multiply([Wanted(a, b, found[-1], False)])
    assert found[0].equal(found[1])
    assert found[0].equal(found[2])


def test_a_large_product_waits_for_the_small_ones_before_it(monkeypatch):
    """Of two products into the same place the first sets it, whoever does them."""
    monkeypatch.setattr(products, "largest", lambda: 15)
    a, b, c, d = (torch.randn(size, dtype=torch.float64) for size in ((4, 3), (3, 5), (4, 9), (9, 5)))
    for first, second in (((a, b), (c, d)), ((c, d), (a, b))):
        out = torch.full((4, 5), float("nan"), dtype=torch.float64)
        multiply([Wanted(*first, out, False), Wanted(*second, out, True)])
        torch.testing.assert_close(out, a @ b + c @ d)


@pytest.mark.parametrize(("cpu", "expected"), [("znver4", float("inf")), ("sapphirerapids", products.SMALL)])
def test_which_products_are_the_librarys(cpu, expected, monkeypatch):
    host = replace(machine.host(), cpu=cpu)
    monkeypatch.setattr(machine, "host", lambda: host)
    assert LARGEST.__wrapped__() == expected


@pytest.fixture
def hasty():
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(function, cached, count=6, rounds=8) -> list:
    """What `count` threads get that call a function whose code nobody has yet."""
    found = []
    for _ in range(rounds):
        cached.cache_clear()
        meet = threading.Barrier(count)
        with ThreadPoolExecutor(count) as pool:
            found += pool.map(lambda _, meet=meet: (meet.wait(), function())[1], range(count))
    return found


def test_threads_that_need_the_code_at_once(hasty, monkeypatch):
    """All but one of them has the code alone, and may not let go of it while it runs."""
    monkeypatch.setattr(products, "WORTH", 10**12)  # each on its own thread
    a, b = torch.randn(300, 300), torch.randn(300, 300)

    def product() -> Tensor:
        out = torch.empty(300, 300)
        multiply([Wanted(a, b, out, False)])
        return out

    for out in at_once(product, products._code):
        torch.testing.assert_close(out, a @ b, rtol=1e-4, atol=1e-3)


def test_threads_that_need_the_code_of_masks_at_once(hasty):
    expected = noise.pieces(1, 200_000, 0)
    assert all(found.equal(expected) for found in at_once(lambda: noise.pieces(1, 200_000, 0), noise._code))
