"""On real data, with the official splits; with fewer epochs than usual."""

import numpy as np

from celda import Classifier
from celda.data.audio import log_mel


def test_the_speakers_of_japanese_vowels(shared_data):
    folder = shared_data / "classification_uea"
    model = Classifier(epochs=25, validation=0).fit(folder / "JapaneseVowels_TRAIN.ts")
    assert model.score(folder / "JapaneseVowels_TEST.ts") > 0.95


def test_the_seasons_of_the_power_demand_of_italy(shared_data):
    folder = shared_data / "classification_uea"
    model = Classifier(epochs=60, validation=0).fit(folder / "ItalyPowerDemand_TRAIN.ts")
    test = model.evaluate(folder / "ItalyPowerDemand_TEST.ts")
    assert test.scores.loc["lstm", "accuracy"] > 0.94 > test.scores.loc["statistics", "accuracy"]


def test_the_strokes_of_pen_digits(shared_data):
    train, test = (
        np.loadtxt(shared_data / "pen_digits" / f"pendigits.{part}", delimiter=",", dtype=str)
        for part in ("tra", "tes")
    )
    (X, y), (held_out, wanted) = (
        (part[:, :16].astype(float).reshape(-1, 8, 2), [code.strip().index("1") for code in part[:, 16]])
        for part in (train[:3000], test)
    )
    model = Classifier(epochs=6, validation=0).fit(X, y)
    assert model.score(held_out, wanted) > 0.93


def test_spoken_digits_of_one_speaker(shared_data):
    parts = {"train": ([], []), "test": ([], [])}
    for path in sorted((shared_data / "speech_spoken_digits" / "recordings").glob("*_jackson_*.wav")):
        digit, _, place = path.stem.split("_")
        X, y = parts["test" if int(place) < 5 else "train"]
        X.append(log_mel(path)[0])
        y.append(digit)
    model = Classifier(epochs=6, validation=0).fit(*parts["train"])
    assert model.score(*parts["test"]) > 0.9
