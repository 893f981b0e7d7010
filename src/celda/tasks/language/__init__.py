"""Language models: a text in, a text like it out, and how likely a text is."""

from celda.tasks.language.model import LanguageModel
from celda.tasks.language.sampler import Sampler

__all__ = ["LanguageModel", "Sampler"]
