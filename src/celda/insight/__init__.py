"""See a trained recurrent network at work: any layer of Celda's, and any cell, from the kernels' own traces."""

from celda.insight.attribution import Attribution, integrated_gradients
from celda.insight.gates import Openness, openness
from celda.insight.gradients import GradientByLag, gradient_by_lag, gradient_of, reach, untrained
from celda.insight.memory import Kept, kept
from celda.insight.recording import Recording, record
from celda.insight.report import explain
from celda.insight.subject import Part, Question, Signal, Subject
from celda.insight.tracking import Tracking, tracking
from celda.insight.walk import Line, Walk, walk
from celda.language.purposes import Role, memory_state, roles

__all__ = [
    "Attribution",
    "GradientByLag",
    "Kept",
    "Line",
    "Openness",
    "Part",
    "Question",
    "Recording",
    "Role",
    "Signal",
    "Subject",
    "Tracking",
    "Walk",
    "explain",
    "gradient_by_lag",
    "gradient_of",
    "integrated_gradients",
    "kept",
    "memory_state",
    "openness",
    "reach",
    "record",
    "roles",
    "tracking",
    "untrained",
    "walk",
]
