"""Weights of a layer as Keras and ONNX keep them, and back."""

from celda.interchange.keras import from_keras, to_keras
from celda.interchange.onnx import from_onnx, onnx_operator, to_onnx

__all__ = ["from_keras", "from_onnx", "onnx_operator", "to_keras", "to_onnx"]
