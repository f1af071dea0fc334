import itertools

import numpy as np
import pytest
import torch

from skgdw.modules import RandomCropFlip

NUMPY_MODE = {"reflect": "reflect", "zeros": "constant"}


def windows(image, padding, mode):
    """Return every window of the padded image, {(row, column, flipped): window}."""
    _, height, width = image.shape
    wide = np.pad(image, [(0, 0), (padding, padding), (padding, padding)], mode=NUMPY_MODE[mode])
    found = {}
    for i, j in itertools.product(range(2 * padding + 1), repeat=2):
        cut = wide[:, i : i + height, j : j + width]
        found[i, j, False], found[i, j, True] = cut, cut[:, :, ::-1]
    return found


@pytest.mark.parametrize("mode", ["reflect", "zeros"])
@pytest.mark.parametrize("shape", [(200, 3, 5, 7), (200, 1, 7, 4)])
def test_each_image_is_a_window_and_every_window_comes(mode, shape):
    padding = 2
    X = torch.rand(shape)
    seen = set()
    for image, out in zip(X.numpy(), RandomCropFlip(padding, padding_mode=mode)(X), strict=True):
        candidates = windows(image, padding, mode)
        matches = [key for key, cut in candidates.items() if np.array_equal(cut, out.numpy())]
        assert len(matches) >= 1
        seen.update(matches)
    assert len(seen) >= 45  # of 50; each stays away from 200 images with probability 0.018


def test_without_flip_only_shifts():
    X = torch.rand(50, 2, 6, 6)
    for image, out in zip(X.numpy(), RandomCropFlip(1, flip=False)(X), strict=True):
        cuts = [cut for key, cut in windows(image, 1, "reflect").items() if not key[2]]
        assert any(np.array_equal(cut, out.numpy()) for cut in cuts)


def test_shifts_and_flips_are_even():
    X = torch.arange(8.0).expand(20_000, 1, 5, 8)
    middle = RandomCropFlip(2, padding_mode="zeros")(X)[:, 0, 2]  # never shifted out
    mirrored = (middle[:, 3] > middle[:, 4]).float().mean().item()
    assert mirrored == pytest.approx(0.5, abs=0.018)  # 5 standard errors
    shifted = RandomCropFlip(2, flip=False, padding_mode="zeros")(X)[:, 0, 2, 4]
    counts = shifted.long().bincount()[2:]
    assert counts.shape == (5,)
    assert counts.tolist() == pytest.approx([4000] * 5, abs=283)  # 5 standard errors


@pytest.mark.parametrize("mode", ["reflect", "zeros"])
def test_same_random_state_same_images(mode):
    X = torch.rand(30, 3, 8, 8)
    augment = RandomCropFlip(padding_mode=mode)
    state = torch.get_rng_state()
    first, second = augment(X), augment(X)
    torch.set_rng_state(state)
    assert torch.equal(augment(X), first)
    assert not torch.equal(first, second)


def test_evaluation_mode_is_the_identity_and_draws_nothing():
    X = torch.rand(4, 3, 8, 8)
    state = torch.get_rng_state()
    assert RandomCropFlip().eval()(X) is X
    assert torch.equal(torch.get_rng_state(), state)


def test_nothing_to_do_is_the_identity():
    X = torch.rand(4, 3, 8, 8)
    assert torch.equal(RandomCropFlip(padding=0, flip=False)(X), X)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64])
def test_dtype_stays(dtype):
    X = (255 * torch.rand(4, 3, 8, 8)).to(dtype)
    assert RandomCropFlip(padding_mode="zeros")(X).dtype == dtype


def test_input_is_not_changed():
    X = torch.rand(4, 3, 8, 8)
    before = X.clone()
    RandomCropFlip(padding_mode="zeros")(X)
    assert torch.equal(X, before)


def test_gradient_counts_the_uses_of_each_pixel():
    X = torch.rand(5, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(RandomCropFlip(2)(X).sum(), X)
    assert gradient.sum().item() == X.numel()


def test_forward_mode_moves_the_tangent_like_the_image():
    X, along = torch.rand(2, 5, 2, 6, 6)
    augment, state = RandomCropFlip(2, padding_mode="zeros"), torch.get_rng_state()
    _, tangent = torch.func.jvp(augment, (X,), (along,))
    torch.set_rng_state(state)
    assert torch.equal(tangent, augment(along))


def test_images_on_the_meta_device_need_no_host():
    # A host synchronisation would fail here: there are no values to fetch.
    X = torch.empty(4, 3, 8, 8, device="meta")
    assert RandomCropFlip()(X).shape == X.shape


def test_repr_shows_the_arguments():
    assert repr(RandomCropFlip()) == "RandomCropFlip(padding=4, flip=True, padding_mode='reflect')"


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"padding": -1}, ValueError, "`padding` must be at least 0; got -1; 0 turns the crop off"),
        ({"padding": 1.5}, TypeError, r"`padding` must be an integer; got 1\.5"),
        ({"padding_mode": "edge"}, ValueError, "`padding_mode` must be .*; got 'edge'; 'reflect'"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        RandomCropFlip(**arguments)


def test_reflection_beyond_the_far_edge_is_refused():
    with pytest.raises(
        ValueError, match=r"`padding` must be below .*; got 4 for 4 x 9 pixels; lower"
    ):
        RandomCropFlip(4)(torch.zeros(2, 1, 4, 9))
    assert RandomCropFlip(4, padding_mode="zeros")(torch.zeros(2, 1, 4, 9)).shape == (2, 1, 4, 9)


def test_other_than_images_is_refused():
    with pytest.raises(ValueError, match=r"`X` must have shape .*; got shape \(2, 9\); reshape"):
        RandomCropFlip()(torch.zeros(2, 9))
