"""The settings of a training, checked when they are given."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from celda.errors import CeldaError, meant


class Config(BaseModel):
    """A frozen set of named settings. A wrong one raises CeldaError, one line that says what to write instead."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **settings: Any) -> None:
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise CeldaError("; ".join(self._explain(problem) for problem in error.errors())) from None

    @classmethod
    def _explain(cls, problem: ErrorDetails) -> str:
        name, message = ".".join(str(part) for part in problem["loc"]), problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            near = meant(name, cls.model_fields)
            hint = f"did you mean {near!r}?" if near else f"there are {', '.join(cls.model_fields)}."
            return f"{cls.__name__} has no setting {name!r}: {hint}"
        if not name:  # a check of several settings together, which says all by itself
            return message
        demand = message.replace("Input should", "it should")
        meaning = cls.model_fields[name].description if name in cls.model_fields else None
        return f"{name}={problem['input']!r} cannot be used: {demand}" + (f" ({name}: {meaning})" if meaning else "")


class TrainingConfig(Config):
    """How a model is trained.

    The optimizer is AdamW (Loshchilov & Hutter 2019): the weight decay is an L2 penalty kept apart from the gradient.
    `optimizer="sgd"` with `averaging` is NT-ASGD (Merity, Keskar & Socher 2018).
    """

    epochs: int = Field(default=20, ge=1, description="how many times the training set is gone through, at most")
    batch_size: int = Field(default=32, ge=1, description="the largest number of samples in a step, over all processes")
    shuffle: bool = Field(
        default=True, description="whether every epoch goes through the training set in an order of its own"
    )
    optimizer: Literal["adamw", "sgd"] = Field(default="adamw", description="AdamW, or plain gradient descent")
    averaging: int | None = Field(
        default=None,
        ge=1,
        description="after how many epochs in a row without a better validation loss the weights are averaged from "
        "then on; None: never",
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="the highest learning rate of the schedule")
    weight_decay: float = Field(default=0.01, ge=0, description="the L2 penalty; biases and other vectors are spared")
    clip_norm: float | None = Field(
        default=1.0, gt=0, description="the largest norm of a step's gradient; None: no limit"
    )
    schedule: Literal["one_cycle", "cosine", "constant"] = Field(
        default="one_cycle",
        description="the course of the learning rate: a rise and a long fall; a fall after a warm-up; level after it",
    )
    warmup: float = Field(
        default=0.1, ge=0, lt=1, description="the share of all steps in which the learning rate rises"
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        description="how many epochs in a row without a better validation loss end the training; None: no end",
    )
    seed: int = Field(
        default=0, ge=0, lt=2**31, description="where every draw of random numbers starts: order, dropout"
    )
    precision: Literal["no", "bf16", "fp16"] = Field(
        default="no", description="mixed precision: none, bfloat16 or float16"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="where to compute; auto: the fastest here"
    )
    checkpoint_every: int | None = Field(
        default=None, ge=1, description="how many steps lie between checkpoints; None: only at the end of each epoch"
    )

    @model_validator(mode="after")
    def _fp16_needs_a_gpu(self) -> "TrainingConfig":
        if self.precision == "fp16" and self.device == "cpu":
            raise ValueError("precision='fp16' needs a GPU: write precision='bf16' or 'no' with device='cpu'.")
        return self
