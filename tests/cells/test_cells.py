"""The shipped cells: their equations as in the literature, and the arrays of torch.nn."""

import pytest

from celda.cells import CELLS, find
from celda.errors import CeldaError

EQUATIONS = {
    "rnn": ["h_t = tanh(W_h x_t + R_h h_{t-1} + b_h)"],
    "rnn_relu": ["h_t = relu(W_h x_t + R_h h_{t-1} + b_h)"],
    "image_rnn": ["h_t = tanh(W_h x_t + R_h h_{t-1} + V_h image + b_h)"],
    "lstm": [
        "i_t = σ(W_i x_t + R_i h_{t-1} + b_i)",
        "f_t = σ(W_f x_t + R_f h_{t-1} + b_f)",
        "g_t = tanh(W_g x_t + R_g h_{t-1} + b_g)",
        "o_t = σ(W_o x_t + R_o h_{t-1} + b_o)",
        "c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t",
        "h_t = o_t ⊙ tanh(c_t)",
    ],
    "peephole_lstm": [
        "i_t = σ(W_i x_t + R_i h_{t-1} + b_i + p_i ⊙ c_{t-1})",
        "f_t = σ(W_f x_t + R_f h_{t-1} + b_f + p_f ⊙ c_{t-1})",
        "g_t = tanh(W_g x_t + R_g h_{t-1} + b_g)",
        "c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t",
        "o_t = σ(W_o x_t + R_o h_{t-1} + b_o + p_o ⊙ c_t)",
        "h_t = o_t ⊙ tanh(c_t)",
    ],
    "gru": [
        "r_t = σ(W_r x_t + R_r h_{t-1} + b_r)",
        "z_t = σ(W_z x_t + R_z h_{t-1} + b_z)",
        "n_t = tanh(W_n x_t + b_Wn + r_t ⊙ (R_n h_{t-1} + b_Rn))",
        "h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}",
    ],
    "gru_2014": [
        "r_t = σ(W_r x_t + R_r h_{t-1} + b_r)",
        "z_t = σ(W_z x_t + R_z h_{t-1} + b_z)",
        "n_t = tanh(W_n x_t + R_n (r_t ⊙ h_{t-1}) + b_n)",
        "h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ n_t",
    ],
}

LATEX = {
    "rnn": [r"h_{t} &= \tanh\left(W_{h} x_{t} + R_{h} h_{t-1} + b_{h}\right)"],
    "rnn_relu": [r"h_{t} &= \operatorname{relu}\left(W_{h} x_{t} + R_{h} h_{t-1} + b_{h}\right)"],
    "image_rnn": [r"h_{t} &= \tanh\left(W_{h} x_{t} + R_{h} h_{t-1} + V_{h} \mathrm{image} + b_{h}\right)"],
    "lstm": [
        r"i_{t} &= \sigma\left(W_{i} x_{t} + R_{i} h_{t-1} + b_{i}\right)",
        r"f_{t} &= \sigma\left(W_{f} x_{t} + R_{f} h_{t-1} + b_{f}\right)",
        r"g_{t} &= \tanh\left(W_{g} x_{t} + R_{g} h_{t-1} + b_{g}\right)",
        r"o_{t} &= \sigma\left(W_{o} x_{t} + R_{o} h_{t-1} + b_{o}\right)",
        r"c_{t} &= f_{t} \odot c_{t-1} + i_{t} \odot g_{t}",
        r"h_{t} &= o_{t} \odot \tanh\left(c_{t}\right)",
    ],
    "peephole_lstm": [
        r"i_{t} &= \sigma\left(W_{i} x_{t} + R_{i} h_{t-1} + b_{i} + p_{i} \odot c_{t-1}\right)",
        r"f_{t} &= \sigma\left(W_{f} x_{t} + R_{f} h_{t-1} + b_{f} + p_{f} \odot c_{t-1}\right)",
        r"g_{t} &= \tanh\left(W_{g} x_{t} + R_{g} h_{t-1} + b_{g}\right)",
        r"c_{t} &= f_{t} \odot c_{t-1} + i_{t} \odot g_{t}",
        r"o_{t} &= \sigma\left(W_{o} x_{t} + R_{o} h_{t-1} + b_{o} + p_{o} \odot c_{t}\right)",
        r"h_{t} &= o_{t} \odot \tanh\left(c_{t}\right)",
    ],
    "gru": [
        r"r_{t} &= \sigma\left(W_{r} x_{t} + R_{r} h_{t-1} + b_{r}\right)",
        r"z_{t} &= \sigma\left(W_{z} x_{t} + R_{z} h_{t-1} + b_{z}\right)",
        r"n_{t} &= \tanh\left(W_{n} x_{t} + b_{\mathrm{Wn}}"
        r" + r_{t} \odot \left(R_{n} h_{t-1} + b_{\mathrm{Rn}}\right)\right)",
        r"h_{t} &= \left(1 - z_{t}\right) \odot n_{t} + z_{t} \odot h_{t-1}",
    ],
    "gru_2014": [
        r"r_{t} &= \sigma\left(W_{r} x_{t} + R_{r} h_{t-1} + b_{r}\right)",
        r"z_{t} &= \sigma\left(W_{z} x_{t} + R_{z} h_{t-1} + b_{z}\right)",
        r"n_{t} &= \tanh\left(W_{n} x_{t} + R_{n} \left(r_{t} \odot h_{t-1}\right) + b_{n}\right)",
        r"h_{t} &= z_{t} \odot h_{t-1} + \left(1 - z_{t}\right) \odot n_{t}",
    ],
}

ARRAYS = {  # name -> blocks of hidden_size rows
    "rnn": {"weight_ih": 1, "weight_hh": 1, "bias_ih": 1, "bias_hh": 1},
    "rnn_relu": {"weight_ih": 1, "weight_hh": 1, "bias_ih": 1, "bias_hh": 1},
    "image_rnn": {"weight_ih": 1, "weight_hh": 1, "weight_image": 1, "bias_ih": 1, "bias_hh": 1},
    "lstm": {"weight_ih": 4, "weight_hh": 4, "bias_ih": 4, "bias_hh": 4},
    "peephole_lstm": {
        **{"weight_ih": 4, "weight_hh": 4, "bias_ih": 4, "bias_hh": 4},
        **{"diagonal_i": 1, "diagonal_f": 1, "diagonal_o": 1},
    },
    "gru": {"weight_ih": 3, "weight_hh": 3, "bias_ih": 3, "bias_hh": 3},
    "gru_2014": {"weight_ih": 3, "weight_hh": 3, "bias_ih": 3, "bias_hh": 3},
}


def test_no_cell_is_left_out():
    assert set(EQUATIONS) == set(LATEX) == set(ARRAYS) == set(CELLS)


@pytest.mark.parametrize("name", CELLS)
def test_equations(name):
    assert CELLS[name].equations().splitlines() == EQUATIONS[name]


@pytest.mark.parametrize("name", CELLS)
def test_latex(name):
    inner = " \\\\\n".join(f"  {line}" for line in LATEX[name])
    assert CELLS[name].latex() == f"\\begin{{aligned}}\n{inner}\n\\end{{aligned}}"


@pytest.mark.parametrize("name", CELLS)
def test_arrays_in_the_order_of_torch(name):
    assert [(w.name, w.blocks) for w in CELLS[name].weights] == list(ARRAYS[name].items())


@pytest.mark.parametrize("name", CELLS)
def test_each_cell_names_its_source_and_its_output(name):
    cell = CELLS[name]
    assert cell.name == name
    assert cell.doc
    assert cell.states[0] == "h"


def test_find():
    assert find("lstm") is CELLS["lstm"]
    assert find(CELLS["gru"]) is CELLS["gru"]
    with pytest.raises(CeldaError, match=r"There is no cell 'lstn'\. Write one of rnn, rnn_relu"):
        find("lstn")
