"""Who is measured, by task; contenders for one task compute the same, which is checked before they are timed."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

import celda
from benchmarks import custom
from benchmarks.contenders import any_cell, gemm, layers, loops, onnx_lstm, scan, steps
from benchmarks.contenders.contender import Contender, Ready, Task
from benchmarks.rows import Key
from celda.cells import CELLS

_ONNX = ("onnx", "onnxruntime")
_OPENVINO = ("onnx", "openvino")
_ROUNDED = 5e-2  # how far results of bfloat16 may be off, of the largest

TASKS: dict[str, Task] = {
    "lstm training": Task(
        True,
        {
            "celda": Contender(layers.train(celda.LSTM)),
            "torch.nn": Contender(layers.train(nn.LSTM)),
            "JAX": Contender(scan.train(input_first=False), ("jax",)),
            "JAX, input first": Contender(scan.train(input_first=True), ("jax",)),
        },
    ),
    "lstm training, half full": Task(True, {"celda": Contender(layers.train(celda.LSTM, half_full=True))}),
    "gru training": Task(
        True,
        {
            "celda": Contender(layers.train(celda.GRU)),
            "torch.nn": Contender(layers.train(nn.GRU)),
        },
    ),
    "rnn training": Task(
        True,
        {
            "celda": Contender(layers.train(celda.RNN)),
            "torch.nn": Contender(layers.train(nn.RNN)),
        },
    ),
    **{
        f"{name} training": Task(
            True,
            {
                "celda": Contender(layers.train(partial(celda.Recurrent, cell))),
                "PyTorch loop": Contender(loops.train(partial(celda.Recurrent, cell), step)),
            },
        )
        for name, cell, step in (
            ("peephole", "peephole_lstm", loops.Peephole),
            ("coupled", "coupled_lstm", loops.Coupled),
            ("two_speed", custom.two_speed, loops.TwoSpeed),
        )
    },
    "lstm inference": Task(
        False,
        {
            "celda": Contender(layers.infer(celda.LSTM)),
            "torch.nn": Contender(layers.infer(nn.LSTM)),
            "ONNX Runtime": Contender(onnx_lstm.onnxruntime, _ONNX),
            "OpenVINO": Contender(onnx_lstm.openvino(INFERENCE_PRECISION_HINT="f32"), _OPENVINO),
            # bfloat16 where the processor multiplies it
            "OpenVINO's default": Contender(onnx_lstm.openvino(), _OPENVINO, _ROUNDED),
        },
    ),
    "lstm training in bfloat16": Task(
        True,
        {
            "celda": Contender(layers.train(celda.LSTM, dtype=torch.bfloat16), (), _ROUNDED),
            "torch.nn": Contender(layers.train(nn.LSTM, dtype=torch.bfloat16), (), _ROUNDED),
        },
    ),
    "lstm inference in bfloat16": Task(
        False,
        {
            "celda": Contender(layers.infer(celda.LSTM, torch.bfloat16), (), _ROUNDED),
            "torch.nn": Contender(layers.infer(nn.LSTM, torch.bfloat16), (), _ROUNDED),
            "OpenVINO's default": Contender(onnx_lstm.openvino(), _OPENVINO, _ROUNDED),
        },
    ),
    "lstm step": Task(
        False,
        {
            "celda": Contender(steps.stepper),
            "nn.LSTM": Contender(steps.lstm),
            "nn.LSTMCell": Contender(steps.lstm_cell),
        },
    ),
    **{
        f"cell {name}": Task(
            True, {"celda": Contender(any_cell.train(cell)), "PyTorch loop": Contender(any_cell.train_loop(cell))}
        )
        for name, cell in (CELLS | custom.OPTED).items()
    },
    "gemm": Task(True, {"oneDNN": Contender(gemm.onednn), "torch.mm": Contender(gemm.mm)}),
}

__all__ = ["TASKS", "Contender", "Key", "Ready", "Task"]
