"""A step of each shipped cell by hand, as plainly as torch allows: (inputs, states, weights) -> named values."""

import torch
from torch import Tensor

Weights = dict[str, Tensor]


def _maps(x: Tensor, h: Tensor, w: Weights, gates: int) -> tuple[Tensor, ...]:
    both = x @ w["weight_ih"].T + h @ w["weight_hh"].T
    both = both + w["bias_ih"] + w["bias_hh"] if "bias_ih" in w else both
    return both.chunk(gates, -1)


def rnn(inputs, states, w):
    (a,) = _maps(inputs["x"], states["h"], w, 1)
    return {"h": torch.tanh(a)}


def rnn_relu(inputs, states, w):
    (a,) = _maps(inputs["x"], states["h"], w, 1)
    return {"h": a.clamp(min=0)}


def image_rnn(inputs, states, w):
    (a,) = _maps(inputs["x"], states["h"], w, 1)
    return {"h": torch.tanh(a + inputs["image"] @ w["weight_image"].T)}


def lstm(inputs, states, w):
    i, f, g, o = _maps(inputs["x"], states["h"], w, 4)
    i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
    c = f * states["c"] + i * g
    return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": o * torch.tanh(c)}


def peephole_lstm(inputs, states, w):
    i, f, g, o = _maps(inputs["x"], states["h"], w, 4)
    i = torch.sigmoid(i + w["diagonal_i"] * states["c"])
    f = torch.sigmoid(f + w["diagonal_f"] * states["c"])
    g = torch.tanh(g)
    c = f * states["c"] + i * g
    o = torch.sigmoid(o + w["diagonal_o"] * c)
    return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": o * torch.tanh(c)}


def gru(inputs, states, w):
    x, h = inputs["x"] @ w["weight_ih"].T, states["h"] @ w["weight_hh"].T
    if "bias_ih" in w:
        x, h = x + w["bias_ih"], h + w["bias_hh"]
    (xr, xz, xn), (hr, hz, hn) = x.chunk(3, -1), h.chunk(3, -1)
    r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
    n = torch.tanh(xn + r * hn)
    return {"r": r, "z": z, "n": n, "h": (1 - z) * n + z * states["h"]}


def gru_2014(inputs, states, w):
    r, z, _ = _maps(inputs["x"], states["h"], w, 3)
    r, z = torch.sigmoid(r), torch.sigmoid(z)
    *_, n = _maps(inputs["x"], r * states["h"], w, 3)
    n = torch.tanh(n)
    return {"r": r, "z": z, "n": n, "h": z * states["h"] + (1 - z) * n}


def jordan(inputs, states, w):
    hidden, output = w["weight_hh"].chunk(2)
    bias, output_bias = (w["bias_hh"].chunk(2)) if "bias_hh" in w else (0, 0)
    a = torch.tanh(inputs["x"] @ w["weight_ih"].T + states["h"] @ hidden.T + w.get("bias_ih", 0) + bias)
    return {"a": a, "h": torch.tanh(a @ output.T + output_bias)}


def clockwork_rnn(inputs, states, w):
    new = torch.tanh(_maps(inputs["x"], states["h"], w, 1)[0])
    return {"new": new, "h": torch.where(inputs["t"] % 2 ** w["group_4"] == 0, new, states["h"])}


def indrnn(inputs, states, w):
    a = inputs["x"] @ w["weight_ih"].T + w["diagonal_h"] * states["h"] + w.get("bias_ih", 0)
    return {"h": a.clamp(min=0)}


def lstm_1997(inputs, states, w):
    gates = states["i"] @ w["weight_hh2"].T + states["o"] @ w["weight_hh3"].T
    i, g, o = torch.sigmoid(torch.cat(_maps(inputs["x"], states["h"], w, 3), -1) + gates).chunk(3, -1)
    g = 4 * g - 2
    c = states["c"] + i * g
    return {"i": i, "g": g, "o": o, "c": c, "h": o * (2 * torch.sigmoid(c) - 1)}


def lstm_1997_truncated(inputs, states, w):
    return lstm_1997(inputs, {name: state if name == "c" else state.detach() for name, state in states.items()}, w)


def _peephole(gates, squash_input=torch.tanh, squash_output=torch.tanh):
    """A step of a peephole LSTM that has, of i, f and o, those in `gates`; the others are 1."""

    def step(inputs, states, w):
        maps = dict(
            zip(
                [n for n in "ifgo" if n in (*gates, "g")],
                _maps(inputs["x"], states["h"], w, len(gates) + 1),
                strict=True,
            )
        )
        g = squash_input(maps["g"])
        found = {n: torch.sigmoid(maps[n] + w[f"diagonal_{n}"] * states["c"]) for n in gates if n != "o"}
        c = found.get("f", 1) * states["c"] + found.get("i", 1) * g
        if "o" in gates:
            found["o"] = torch.sigmoid(maps["o"] + w["diagonal_o"] * c)
        return {**found, "g": g, "c": c, "h": found.get("o", 1) * squash_output(c)}

    return step


def _as_it_is(a):
    return a


def lstm_cifg(inputs, states, w):
    i, g, o = _maps(inputs["x"], states["h"], w, 3)
    i, g = torch.sigmoid(i + w["diagonal_i"] * states["c"]), torch.tanh(g)
    c = states["c"] + i * (g - states["c"])
    o = torch.sigmoid(o + w["diagonal_o"] * c)
    return {"i": i, "g": g, "o": o, "c": c, "h": o * torch.tanh(c)}


def coupled_lstm(inputs, states, w):
    i, g, o = _maps(inputs["x"], states["h"], w, 3)
    i, g, o = torch.sigmoid(i), torch.tanh(g), torch.sigmoid(o)
    c = states["c"] + i * (g - states["c"])
    return {"i": i, "g": g, "o": o, "c": c, "h": o * torch.tanh(c)}


def lstm_fgr(inputs, states, w):
    between = sum(states[n] @ w[f"weight_hh{k}"].T for k, n in enumerate("ifo", 2)).chunk(3, -1)
    i, f, g, o = _maps(inputs["x"], states["h"], w, 4)
    i = torch.sigmoid(i + between[0] + w["diagonal_i"] * states["c"])
    f = torch.sigmoid(f + between[1] + w["diagonal_f"] * states["c"])
    g = torch.tanh(g)
    c = f * states["c"] + i * g
    o = torch.sigmoid(o + between[2] + w["diagonal_o"] * c)
    return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": o * torch.tanh(c)}


def depth_gated_lstm(inputs, states, w):
    x, h, c, below = inputs["x"], states["h"], states["c"], inputs["c_below"]
    (*own, wd), (*bias, bd) = w["weight_ih"].chunk(5), _blocks(w, "bias_ih", 5)
    recurrent = zip(w["weight_hh"].chunk(4), _blocks(w, "bias_hh", 4), strict=True)
    maps = [x @ m.T + b + h @ r.T + rb for m, b, (r, rb) in zip(own, bias, recurrent, strict=True)]
    i, f, g, o = torch.sigmoid(maps[0]), torch.sigmoid(maps[1]), torch.tanh(maps[2]), torch.sigmoid(maps[3])
    d = torch.sigmoid(x @ wd.T + bd + w["diagonal_d"] * c + w["diagonal_d2"] * below)
    c = d * below + f * c + i * g
    return {"i": i, "f": f, "g": g, "o": o, "d": d, "c": c, "h": o * torch.tanh(c)}


def janet(inputs, states, w):
    s, g = _maps(inputs["x"], states["h"], w, 2)
    g = torch.tanh(g)
    return {"s": s, "g": g, "h": torch.sigmoid(s) * states["h"] + torch.sigmoid(1 - s) * g}


def slstm(inputs, states, w, log_forget=torch.nn.functional.logsigmoid):
    """The stabiliser as the paper has it: m of no step before is minus infinity."""
    log_i, log_f, z, o = _maps(inputs["x"], states["h"], w, 4)
    log_f, z, o = log_forget(log_f), torch.tanh(z), torch.sigmoid(o)
    kept = torch.where(states["n"] == 0, -torch.inf, log_f + states["m"])
    m = torch.maximum(kept, log_i)
    i, f = torch.exp(log_i - m), torch.exp(kept - m)
    c, n = f * states["c"] + i * z, f * states["n"] + i
    return {"log_i": log_i, "log_f": log_f, "z": z, "o": o, "i": i, "f": f, "c": c, "n": n, "m": m, "h": o * (c / n)}


def slstm_exp(inputs, states, w):
    return slstm(inputs, states, w, _as_it_is)


def mgu(inputs, states, w):
    f = torch.sigmoid(_maps(inputs["x"], states["h"], w, 2)[0])
    n = torch.tanh(_maps(inputs["x"], f * states["h"], w, 2)[1])
    return {"f": f, "n": n, "h": states["h"] + f * (n - states["h"])}


def _blocks(w: Weights, name: str, count: int) -> tuple:
    return w[name].chunk(count) if name in w else (0,) * count


def mut1(inputs, states, w):
    x, h = inputs["x"], states["h"]
    (wz, wr, wn), (rr, rn) = w["weight_ih"].chunk(3), w["weight_hh"].chunk(2)
    (bz, br), (cr, cn) = _blocks(w, "bias_ih", 2), _blocks(w, "bias_hh", 2)
    z, r = torch.sigmoid(x @ wz.T + bz), torch.sigmoid(x @ wr.T + h @ rr.T + br + cr)
    n = torch.tanh((r * h) @ rn.T + cn + torch.tanh(x @ wn.T))
    return {"z": z, "r": r, "n": n, "h": h + z * (n - h)}


def mut2(inputs, states, w):
    x, h = inputs["x"], states["h"]
    (wz, wr, wn), (rz, rr, rn) = w["weight_ih"].chunk(3), w["weight_hh"].chunk(3)
    (bz, bn), (cz, cr, cn) = _blocks(w, "bias_ih", 2), _blocks(w, "bias_hh", 3)
    z, r = torch.sigmoid(x @ wz.T + h @ rz.T + bz + cz), torch.sigmoid(x @ wr.T + h @ rr.T + cr)
    n = torch.tanh(x @ wn.T + (r * h) @ rn.T + bn + cn)
    return {"z": z, "r": r, "n": n, "h": h + z * (n - h)}


def mut3(inputs, states, w):
    h = states["h"]
    z = torch.sigmoid(_maps(inputs["x"], torch.tanh(h), w, 3)[0])
    r = torch.sigmoid(_maps(inputs["x"], h, w, 3)[1])
    n = torch.tanh(_maps(inputs["x"], r * h, w, 3)[2])
    return {"z": z, "r": r, "n": n, "h": h + z * (n - h)}


_NAMED = (
    *(
        jordan,
        rnn,
        rnn_relu,
        image_rnn,
        clockwork_rnn,
        indrnn,
        lstm_1997,
        lstm_1997_truncated,
        lstm,
        peephole_lstm,
        coupled_lstm,
    ),
    *(lstm_cifg, lstm_fgr, depth_gated_lstm, janet, slstm, slstm_exp, gru, gru_2014, mgu, mut1, mut2, mut3),
)
LOOPS = {step.__name__: step for step in _NAMED} | {
    "lstm_nig": _peephole("fo"),
    "lstm_nfg": _peephole("io"),
    "lstm_nog": _peephole("if"),
    "lstm_niaf": _peephole("ifo", squash_input=_as_it_is),
    "lstm_noaf": _peephole("ifo", squash_output=_as_it_is),
}
