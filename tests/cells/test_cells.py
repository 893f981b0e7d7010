"""The shipped cells: their equations as in the literature, and the arrays of torch.nn."""

import dataclasses

import pytest

from celda.cells import CELLS, find, source
from celda.errors import CeldaError

EQUATIONS = {
    "jordan": [
        "a_t = tanh(W_a x_t + R_a h_{t-1} + b_a)",
        "h_t = tanh(R_h a_t + b_h)",
    ],
    "rnn": [
        "h_t = tanh(W_h x_t + R_h h_{t-1} + b_h)",
    ],
    "rnn_relu": [
        "h_t = relu(W_h x_t + R_h h_{t-1} + b_h)",
    ],
    "image_rnn": [
        "h_t = tanh(W_h x_t + R_h h_{t-1} + V_h image + b_h)",
    ],
    "clockwork_rnn": [
        "new_t = tanh(W_new x_t + R_new h_{t-1} + b_new)",
        "h_t = (new_t if t mod (8 if group_4 ≥ 3 else (4 if group_4 ≥ 2 else (2 if group_4 ≥ 1 else 1))) = 0"
        " else h_{t-1})",
    ],
    "indrnn": [
        "h_t = relu(W_h x_t + b_h + p_h ⊙ h_{t-1})",
    ],
    "lstm_1997": [
        "i_t = σ(W_i x_t + R_i h_{t-1} + R'_i i_{t-1} + R''_i o_{t-1} + b_i)",
        "g_t = 4 · σ(W_g x_t + R_g h_{t-1} + R'_g i_{t-1} + R''_g o_{t-1} + b_g) - 2",
        "o_t = σ(W_o x_t + R_o h_{t-1} + R'_o i_{t-1} + R''_o o_{t-1} + b_o)",
        "c_t = c_{t-1} + i_t ⊙ g_t",
        "h_t = o_t ⊙ (2 · σ(c_t) - 1)",
    ],
    "lstm_1997_truncated": [
        "i_t = σ(W_i x_t + R_i stop(h_{t-1}) + R'_i stop(i_{t-1}) + R''_i stop(o_{t-1}) + b_i)",
        "g_t = 4 · σ(W_g x_t + R_g stop(h_{t-1}) + R'_g stop(i_{t-1}) + R''_g stop(o_{t-1}) + b_g) - 2",
        "o_t = σ(W_o x_t + R_o stop(h_{t-1}) + R'_o stop(i_{t-1}) + R''_o stop(o_{t-1}) + b_o)",
        "c_t = c_{t-1} + i_t ⊙ g_t",
        "h_t = o_t ⊙ (2 · σ(c_t) - 1)",
    ],
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
    "coupled_lstm": [
        "i_t = σ(W_i x_t + R_i h_{t-1} + b_i)",
        "g_t = tanh(W_g x_t + R_g h_{t-1} + b_g)",
        "o_t = σ(W_o x_t + R_o h_{t-1} + b_o)",
        "c_t = (1 - i_t) ⊙ c_{t-1} + i_t ⊙ g_t",
        "h_t = o_t ⊙ tanh(c_t)",
    ],
    "lstm_nig": [
        "f_t = σ(W_f x_t + R_f h_{t-1} + b_f + p_f ⊙ c_{t-1})",
        "g_t = tanh(W_g x_t + R_g h_{t-1} + b_g)",
        "c_t = f_t ⊙ c_{t-1} + g_t",
        "o_t = σ(W_o x_t + R_o h_{t-1} + b_o + p_o ⊙ c_t)",
        "h_t = o_t ⊙ tanh(c_t)",
    ],
    "lstm_nfg": [
        "i_t = σ(W_i x_t + R_i h_{t-1} + b_i + p_i ⊙ c_{t-1})",
        "g_t = tanh(W_g x_t + R_g h_{t-1} + b_g)",
        "c_t = c_{t-1} + i_t ⊙ g_t",
        "o_t = σ(W_o x_t + R_o h_{t-1} + b_o + p_o ⊙ c_t)",
        "h_t = o_t ⊙ tanh(c_t)",
    ],
    "lstm_nog": [
        "i_t = σ(W_i x_t + R_i h_{t-1} + b_i + p_i ⊙ c_{t-1})",
        "f_t = σ(W_f x_t + R_f h_{t-1} + b_f + p_f ⊙ c_{t-1})",
        "g_t = tanh(W_g x_t + R_g h_{t-1} + b_g)",
        "c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t",
        "h_t = tanh(c_t)",
    ],
    "lstm_niaf": [
        "i_t = σ(W_i x_t + R_i h_{t-1} + b_i + p_i ⊙ c_{t-1})",
        "f_t = σ(W_f x_t + R_f h_{t-1} + b_f + p_f ⊙ c_{t-1})",
        "g_t = W_g x_t + R_g h_{t-1} + b_g",
        "c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t",
        "o_t = σ(W_o x_t + R_o h_{t-1} + b_o + p_o ⊙ c_t)",
        "h_t = o_t ⊙ tanh(c_t)",
    ],
    "lstm_noaf": [
        "i_t = σ(W_i x_t + R_i h_{t-1} + b_i + p_i ⊙ c_{t-1})",
        "f_t = σ(W_f x_t + R_f h_{t-1} + b_f + p_f ⊙ c_{t-1})",
        "g_t = tanh(W_g x_t + R_g h_{t-1} + b_g)",
        "c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t",
        "o_t = σ(W_o x_t + R_o h_{t-1} + b_o + p_o ⊙ c_t)",
        "h_t = o_t ⊙ c_t",
    ],
    "lstm_cifg": [
        "i_t = σ(W_i x_t + R_i h_{t-1} + b_i + p_i ⊙ c_{t-1})",
        "g_t = tanh(W_g x_t + R_g h_{t-1} + b_g)",
        "c_t = (1 - i_t) ⊙ c_{t-1} + i_t ⊙ g_t",
        "o_t = σ(W_o x_t + R_o h_{t-1} + b_o + p_o ⊙ c_t)",
        "h_t = o_t ⊙ tanh(c_t)",
    ],
    "lstm_fgr": [
        "i_t = σ(W_i x_t + R_i h_{t-1} + R'_i i_{t-1} + R''_i f_{t-1} + R'''_i o_{t-1} + b_i + p_i ⊙ c_{t-1})",
        "f_t = σ(W_f x_t + R_f h_{t-1} + R'_f i_{t-1} + R''_f f_{t-1} + R'''_f o_{t-1} + b_f + p_f ⊙ c_{t-1})",
        "g_t = tanh(W_g x_t + R_g h_{t-1} + b_g)",
        "c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t",
        "o_t = σ(W_o x_t + R_o h_{t-1} + R'_o i_{t-1} + R''_o f_{t-1} + R'''_o o_{t-1} + b_o + p_o ⊙ c_t)",
        "h_t = o_t ⊙ tanh(c_t)",
    ],
    "depth_gated_lstm": [
        "i_t = σ(W_i x_t + R_i h_{t-1} + b_i)",
        "f_t = σ(W_f x_t + R_f h_{t-1} + b_f)",
        "g_t = tanh(W_g x_t + R_g h_{t-1} + b_g)",
        "o_t = σ(W_o x_t + R_o h_{t-1} + b_o)",
        "d_t = σ(W_d x_t + b_d + p_d ⊙ c_{t-1} + p_d2 ⊙ c_below_t)",
        "c_t = d_t ⊙ c_below_t + f_t ⊙ c_{t-1} + i_t ⊙ g_t",
        "h_t = o_t ⊙ tanh(c_t)",
    ],
    "janet": [
        "s_t = W_s x_t + R_s h_{t-1} + b_s",
        "g_t = tanh(W_g x_t + R_g h_{t-1} + b_g)",
        "h_t = σ(s_t) ⊙ h_{t-1} + (1 - σ(s_t - 1)) ⊙ g_t",
    ],
    "slstm": [
        "log_i_t = W_{log_i} x_t + R_{log_i} h_{t-1} + b_{log_i}",
        "log_f_t = -softplus(-(W_{log_f} x_t + R_{log_f} h_{t-1} + b_{log_f}))",
        "z_t = tanh(W_z x_t + R_z h_{t-1} + b_z)",
        "o_t = σ(W_o x_t + R_o h_{t-1} + b_o)",
        "m_t = (log_i_t if n_{t-1} = 0 else max(log_f_t + m_{t-1}, log_i_t))",
        "i_t = exp(log_i_t - m_t)",
        "f_t = exp(min(log_f_t + m_{t-1} - m_t, 0))",
        "c_t = f_t ⊙ c_{t-1} + i_t ⊙ z_t",
        "n_t = f_t ⊙ n_{t-1} + i_t",
        "h_t = o_t ⊙ c_t / n_t",
    ],
    "slstm_exp": [
        "log_i_t = W_{log_i} x_t + R_{log_i} h_{t-1} + b_{log_i}",
        "log_f_t = W_{log_f} x_t + R_{log_f} h_{t-1} + b_{log_f}",
        "z_t = tanh(W_z x_t + R_z h_{t-1} + b_z)",
        "o_t = σ(W_o x_t + R_o h_{t-1} + b_o)",
        "m_t = (log_i_t if n_{t-1} = 0 else max(log_f_t + m_{t-1}, log_i_t))",
        "i_t = exp(log_i_t - m_t)",
        "f_t = exp(min(log_f_t + m_{t-1} - m_t, 0))",
        "c_t = f_t ⊙ c_{t-1} + i_t ⊙ z_t",
        "n_t = f_t ⊙ n_{t-1} + i_t",
        "h_t = o_t ⊙ c_t / n_t",
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
    "mut1": [
        "z_t = σ(W_z x_t + b_z)",
        "r_t = σ(W_r x_t + R_r h_{t-1} + b_r)",
        "n_t = tanh(R_n (r_t ⊙ h_{t-1}) + b_n + tanh(W_n x_t))",
        "h_t = n_t ⊙ z_t + h_{t-1} ⊙ (1 - z_t)",
    ],
    "mut2": [
        "z_t = σ(W_z x_t + R_z h_{t-1} + b_z)",
        "r_t = σ(R_r h_{t-1} + b_r + W_r x_t)",
        "n_t = tanh(W_n x_t + R_n (r_t ⊙ h_{t-1}) + b_n)",
        "h_t = n_t ⊙ z_t + h_{t-1} ⊙ (1 - z_t)",
    ],
    "mut3": [
        "z_t = σ(W_z x_t + R_z tanh(h_{t-1}) + b_z)",
        "r_t = σ(W_r x_t + R_r h_{t-1} + b_r)",
        "n_t = tanh(W_n x_t + R_n (r_t ⊙ h_{t-1}) + b_n)",
        "h_t = n_t ⊙ z_t + h_{t-1} ⊙ (1 - z_t)",
    ],
    "mgu": [
        "f_t = σ(W_f x_t + R_f h_{t-1} + b_f)",
        "n_t = tanh(W_n x_t + R_n (f_t ⊙ h_{t-1}) + b_n)",
        "h_t = (1 - f_t) ⊙ h_{t-1} + f_t ⊙ n_t",
    ],
}

LATEX = {  # of a few: the printer has tests of its own
    "image_rnn": [r"h_{t} &= \tanh\left(W_{h} x_{t} + R_{h} h_{t-1} + V_{h} \mathrm{image} + b_{h}\right)"],
    "lstm": [
        r"i_{t} &= \sigma\left(W_{i} x_{t} + R_{i} h_{t-1} + b_{i}\right)",
        r"f_{t} &= \sigma\left(W_{f} x_{t} + R_{f} h_{t-1} + b_{f}\right)",
        r"g_{t} &= \tanh\left(W_{g} x_{t} + R_{g} h_{t-1} + b_{g}\right)",
        r"o_{t} &= \sigma\left(W_{o} x_{t} + R_{o} h_{t-1} + b_{o}\right)",
        r"c_{t} &= f_{t} \odot c_{t-1} + i_{t} \odot g_{t}",
        r"h_{t} &= o_{t} \odot \tanh\left(c_{t}\right)",
    ],
    "gru": [
        r"r_{t} &= \sigma\left(W_{r} x_{t} + R_{r} h_{t-1} + b_{r}\right)",
        r"z_{t} &= \sigma\left(W_{z} x_{t} + R_{z} h_{t-1} + b_{z}\right)",
        r"n_{t} &= \tanh\left(W_{n} x_{t} + b_{\mathrm{Wn}}"
        r" + r_{t} \odot \left(R_{n} h_{t-1} + b_{\mathrm{Rn}}\right)\right)",
        r"h_{t} &= \left(1 - z_{t}\right) \odot n_{t} + z_{t} \odot h_{t-1}",
    ],
    "slstm": [
        r"\mathrm{log\_i}_{t} &= W_{\mathrm{log\_i}} x_{t} + R_{\mathrm{log\_i}} h_{t-1} + b_{\mathrm{log\_i}}",
        r"\mathrm{log\_f}_{t} &= -\operatorname{softplus}\left(-\left(W_{\mathrm{log\_f}} x_{t}"
        r" + R_{\mathrm{log\_f}} h_{t-1} + b_{\mathrm{log\_f}}\right)\right)",
        r"z_{t} &= \tanh\left(W_{z} x_{t} + R_{z} h_{t-1} + b_{z}\right)",
        r"o_{t} &= \sigma\left(W_{o} x_{t} + R_{o} h_{t-1} + b_{o}\right)",
        r"m_{t} &= \begin{cases} \mathrm{log\_i}_{t} & n_{t-1} = 0 \\"
        r" \max\left(\mathrm{log\_f}_{t} + m_{t-1}, \mathrm{log\_i}_{t}\right) & \text{otherwise} \end{cases}",
        r"i_{t} &= \exp\left(\mathrm{log\_i}_{t} - m_{t}\right)",
        r"f_{t} &= \exp\left(\min\left(\mathrm{log\_f}_{t} + m_{t-1} - m_{t}, 0\right)\right)",
        r"c_{t} &= f_{t} \odot c_{t-1} + i_{t} \odot z_{t}",
        r"n_{t} &= f_{t} \odot n_{t-1} + i_{t}",
        r"h_{t} &= o_{t} \odot c_{t} / n_{t}",
    ],
}

# name -> blocks of hidden_size rows; what torch.nn has, and the arrays it does not know
ARRAYS = {
    "rnn": {"weight_ih": 1, "weight_hh": 1, "bias_ih": 1, "bias_hh": 1},
    "image_rnn": {"weight_ih": 1, "weight_hh": 1, "weight_image": 1, "bias_ih": 1, "bias_hh": 1},
    "indrnn": {"weight_ih": 1, "bias_ih": 1, "diagonal_h": 1},
    "lstm": {"weight_ih": 4, "weight_hh": 4, "bias_ih": 4, "bias_hh": 4},
    "lstm_fgr": {
        **{"weight_ih": 4, "weight_hh": 4, "weight_hh2": 3, "weight_hh3": 3, "weight_hh4": 3},
        **{"bias_ih": 4, "bias_hh": 4, "diagonal_i": 1, "diagonal_f": 1, "diagonal_o": 1},
    },
    "gru": {"weight_ih": 3, "weight_hh": 3, "bias_ih": 3, "bias_hh": 3},
    "mut1": {"weight_ih": 3, "weight_hh": 2, "bias_ih": 2, "bias_hh": 2},
}


def test_the_equations_of_every_cell_are_written_here():
    assert list(EQUATIONS) == list(CELLS)


@pytest.mark.parametrize("name", CELLS)
def test_equations(name):
    assert CELLS[name].equations().splitlines() == EQUATIONS[name]


@pytest.mark.parametrize("name", LATEX)
def test_latex(name):
    inner = " \\\\\n".join(f"  {line}" for line in LATEX[name])
    assert CELLS[name].latex() == f"\\begin{{aligned}}\n{inner}\n\\end{{aligned}}"


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_in_the_order_of_torch(name):
    assert [(w.name, w.blocks) for w in CELLS[name].weights] == list(ARRAYS[name].items())


@pytest.mark.parametrize("name", CELLS)
def test_each_cell_names_its_source_and_its_output(name):
    cell = CELLS[name]
    assert cell.name == name
    assert cell.states[0] == "h"
    assert source(cell) is not None


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("A cell (Elman 1990).", ("Elman", 1990)),
        ("A cell (Cho et al. 2014, in the form of cuDNN): and more.", ("Cho et al.", 2014)),
        ("A cell (of two gates), as told (Gers & Schmidhuber 2000).", ("Gers & Schmidhuber", 2000)),
        ("A cell of mine (with 1000 gates).\n\nAfter others (Elman 1990).", None),
        ("", None),
    ],
)
def test_the_source_stands_in_brackets_in_the_first_line(line, found):
    assert source(dataclasses.replace(CELLS["rnn"], doc=line)) == found


def test_find():
    assert find("lstm") is CELLS["lstm"]
    assert find(CELLS["gru"]) is CELLS["gru"]
    with pytest.raises(CeldaError, match=r"There is no cell 'lstn'\. Did you mean 'lstm'\?"):
        find("lstn")
    with pytest.raises(CeldaError, match=r"There is no cell 'memory'\. There are jordan, rnn, rnn_relu"):
        find("memory")

    def mine(x, h):
        return x + h

    with pytest.raises(CeldaError, match="mine is no cell yet: write @cell above the def"):
        find(mine)
    with pytest.raises(CeldaError, match=r"dict is no cell yet.* or give the name of one"):
        find(dict)
