"""Settings: each mistake is one line that names the setting and what it may be."""

import pytest

from celda import CeldaError
from celda.training import Config, TrainingConfig

MISTAKES = {
    "a setting that is not there": ({"learning_rat": 0.1}, "no setting 'learning_rat': did you mean 'learning_rate'?"),
    "a setting like no other": ({"x": 0.1}, "no setting 'x': there are epochs, batch_size"),
    "no epochs": ({"epochs": 0}, "epochs=0 cannot be used: it should be greater than or equal to 1"),
    "a word for a number": ({"batch_size": "many"}, "batch_size='many' cannot be used: it should be a valid integer"),
    "a negative rate": ({"learning_rate": -1e-3}, "learning_rate=-0.001 cannot be used: it should be greater than 0"),
    "a rate of NaN": (
        {"learning_rate": float("nan")},
        "learning_rate=nan cannot be used: it should be a finite number",
    ),
    "a negative decay": ({"weight_decay": -1}, "weight_decay=-1 cannot be used"),
    "clipping to nothing": ({"clip_norm": 0}, "clip_norm=0 cannot be used"),
    "all warm-up": ({"warmup": 1.0}, "warmup=1.0 cannot be used: it should be less than 1"),
    "an unknown schedule": ({"schedule": "step"}, "schedule='step' cannot be used: it should be 'one_cycle', 'cosine'"),
    "no patience": ({"patience": 0}, "patience=0 cannot be used"),
    "a negative seed": ({"seed": -1}, "seed=-1 cannot be used"),
    "an unknown precision": (
        {"precision": "fp8"},
        "precision='fp8' cannot be used: it should be 'no', 'bf16' or 'fp16'",
    ),
    "an unknown device": (
        {"device": "gpu"},
        "device='gpu' cannot be used: it should be 'auto', 'cpu', 'cuda' or 'mps'",
    ),
    "half precision without a GPU": ({"precision": "fp16", "device": "cpu"}, "write precision='bf16' or 'no'"),
    "never a checkpoint": ({"checkpoint_every": 0}, "checkpoint_every=0 cannot be used"),
    "two mistakes": ({"epochs": 0, "seed": -1}, "epochs=0 cannot be used.*; seed=-1 cannot be used"),
}


@pytest.mark.parametrize(("settings", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_said_in_one_line(settings, message):
    with pytest.raises(CeldaError, match=message) as error:
        TrainingConfig(**settings)
    assert "\n" not in str(error.value)


def test_every_setting_has_a_description():
    assert all(field.description for field in TrainingConfig.model_fields.values())


def test_settings_survive_json():
    config = TrainingConfig(learning_rate=0.1 + 0.2, clip_norm=None, patience=3)
    assert TrainingConfig.model_validate_json(config.model_dump_json()) == config


def test_other_configs_speak_alike():
    class Kitchen(Config):
        pots: int = 1

    with pytest.raises(CeldaError, match="Kitchen has no setting 'pot': did you mean 'pots'"):
        Kitchen(pot=2)
    with pytest.raises(CeldaError, match="pots='x' cannot be used: it should be a valid integer"):
        Kitchen(pots="x")
