"""Transition matrices to test with."""

import math

import torch


def stochastic(c, seed=0, *, sharpness=2.0):
    """Draw a matrix whose rows sum to one and are largest on the diagonal, on the whole."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((c, c), generator=generator, dtype=torch.float64)
    return torch.softmax(logits + (sharpness + math.log(c)) * torch.eye(c), dim=1)


def mixed(transition, meta_means, true_counts):
    """Return the mean predictions and the number of rows by given label, for known noise."""
    joint = true_counts.unsqueeze(1) * transition
    counts = joint.sum(dim=0)
    return (joint / counts.clamp(min=1e-300)).T @ meta_means, counts


def pair_flip(c, rate=0.4):
    identity = torch.eye(c, dtype=torch.float64)
    return (1 - rate) * identity + rate * identity.roll(1, dims=1)
