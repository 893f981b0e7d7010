"""A linear-chain conditional random field (Lafferty, McCallum & Pereira 2001)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CRF(nn.Module):
    """Scores whole sequences of tags: those of each step, and of each tag after another.

    A sequence of tags y of T steps has the score start[y_1] + sum_t score_t[y_t] + sum_t transition[y_(t-1), y_t] +
    end[y_T]; its probability is the exponential of that, over the sum for all sequences of tags.
    """

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(tags))
        self.transitions = nn.Parameter(torch.zeros(tags, tags))  # from, to
        self.end = nn.Parameter(torch.zeros(tags))

    def log_likelihood(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Log probability (B,) of tags (B, T) given the scores of the steps (B, T, C); what is past the lengths (B,),
        at least 1, does not matter.
        """
        past = _past(scores, lengths)
        tags = tags.masked_fill(past, 0)
        steps = scores.gather(2, tags.unsqueeze(-1)).squeeze(-1).masked_fill(past, 0)
        pairs = self.transitions[tags[:, :-1], tags[:, 1:]].masked_fill(past[:, 1:], 0)
        last = tags.gather(1, (lengths - 1).unsqueeze(-1)).squeeze(-1)
        whole = self.start[tags[:, 0]] + _sum(steps) + _sum(pairs) + self.end[last]
        return (whole - self.log_partition(scores, lengths)).to(scores)

    def log_partition(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The log of the sum over all sequences of tags (B,), by the forward algorithm, in double precision.

        What the sum grows by is taken off at each step, so that single precision is as good for a long sequence as for
        a short one.
        """
        scores = scores.masked_fill(_past(scores, lengths).unsqueeze(-1), 0)
        forward, grown = self.start + scores[:, 0], []
        for t in range(1, scores.shape[1]):
            grown.append(torch.logsumexp(forward, 1))
            forward = forward - grown[-1].unsqueeze(1)
            onward = torch.logsumexp(forward.unsqueeze(2) + self.transitions, 1) + scores[:, t]
            forward = torch.where((t < lengths).unsqueeze(1), onward, forward)
        grown.append(torch.logsumexp(forward + self.end, 1))
        return _sum(torch.stack(grown, 1))

    @torch.enable_grad()
    def marginals(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The probability of each tag at each step, whatever the others are: (B, T, C), 0 past the lengths.

        It is the derivative of the log of the partition by the score.
        """
        scores = scores.detach().requires_grad_()
        (found,) = torch.autograd.grad(self.log_partition(scores, lengths).sum(), scores)
        return found

    def log_marginal(self, scores: Tensor, lengths: Tensor, step: int, tag: int) -> Tensor:
        """The log probability (B,) of one tag at one step, which every sequence has, whatever the others are."""
        others = torch.zeros_like(scores, dtype=torch.bool)
        others[:, step] = True
        others[:, step, tag] = False
        held = scores.masked_fill(others, -torch.inf)
        return (self.log_partition(held, lengths) - self.log_partition(scores, lengths)).to(scores)

    @torch.no_grad()
    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The most probable sequences of tags, by the Viterbi algorithm: (B, T), 0 past the lengths."""
        best, came_from = self.start + scores[:, 0], []
        nothing = torch.arange(scores.shape[2], device=scores.device).expand_as(best)
        for t in range(1, scores.shape[1]):
            value, where = (best.unsqueeze(2) + self.transitions).max(1)
            going = (t < lengths).unsqueeze(1)
            best = torch.where(going, value + scores[:, t], best)
            best = best - best.amax(1, keepdim=True)  # only differences count, and large numbers would round them off
            came_from.append(torch.where(going, where, nothing))  # a sequence that has ended stays where it is
        tag = (best + self.end).argmax(1)
        path = [tag]
        for where in reversed(came_from):
            tag = where.gather(1, tag.unsqueeze(1)).squeeze(1)
            path.append(tag)
        tags = torch.stack(path[::-1], 1)
        return tags.masked_fill(_past(scores, lengths), 0)


def _past(scores: Tensor, lengths: Tensor) -> Tensor:
    """Which steps (B, T) of scores (B, T, C) are past the lengths (B,)."""
    return torch.arange(scores.shape[1], device=scores.device) >= lengths[:, None]


def _sum(steps: Tensor) -> Tensor:
    """The sum of each row (B, T), in double precision where the device has that."""
    return steps.sum(1, dtype=steps.dtype if steps.device.type == "mps" else torch.float64)
