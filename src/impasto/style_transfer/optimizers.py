"""Adam and L-BFGS for the pixels of one picture, with a state that can be saved and resized.

Both take the gradient and return the next picture. They add to torch.optim what style transfer needs: `resize`
carries their state to the next scale of a pyramid, and with `state` and `restore` a resumed run gives the same
bytes.

Losses are means over pixels, so their gradients shrink as pictures grow. The gradients for `step` are multiplied by the
number of values in the picture. So they mean the same at every size, and Adam's epsilon is far below them.
"""

from typing import Protocol

import torch
from torch import Tensor

from impasto.ops.resize import resize

__all__ = ["LBFGS", "Adam", "PixelOptimizer"]


_PART = 1 << 22  # values that are multiplied at once


class PixelOptimizer(Protocol):
    """An optimizer of one picture."""

    def step(self, image: Tensor, gradient: Tensor, loss: float) -> Tensor:
        """Return the next picture.

        Args:
            image: the picture that the last step returned.
            gradient: at `image`. The optimizer keeps it and may change it in its next step.
            loss: at `image`.
        """

    def remember(self, history: int) -> None:
        """Keep at most `history` past steps from now on."""

    def resize(self, size: tuple[int, int]) -> None:
        """Resize the state for the same picture at `(height, width)`."""

    def state(self) -> dict[str, Tensor]:
        """Return the state for `restore`."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore a saved state."""


class Adam:
    """Adam on pixels; each picture is clamped to [0, 1].

    Source: Kingma & Ba 2015, arXiv:1412.6980, algorithm 1.
    Differs: the picture is clamped after each step, as usual in style transfer.
    """

    def __init__(
        self, learning_rate: float = 0.02, beta1: float = 0.9, beta2: float = 0.99, epsilon: float = 1e-8
    ) -> None:
        self.learning_rate, self.beta1, self.beta2, self.epsilon = learning_rate, beta1, beta2, epsilon
        self.count = 0
        self.m: Tensor | None = None
        self.v: Tensor | None = None

    def step(self, image: Tensor, gradient: Tensor, loss: float) -> Tensor:
        """Return the next picture, in [0, 1]."""
        if self.m is None or self.v is None:
            self.m, self.v = torch.zeros_like(image), torch.zeros_like(image)
        self.count += 1  # all in place from here on: pictures can be large
        self.m.mul_(self.beta1).add_(gradient, alpha=1 - self.beta1)
        self.v.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        root = (self.v / (1 - self.beta2**self.count)).sqrt_().add_(self.epsilon)
        rate = self.learning_rate / (1 - self.beta1**self.count)
        return torch.addcdiv(image, self.m, root, value=-rate).clamp_(0, 1)

    def remember(self, history: int) -> None:
        """Do nothing: Adam keeps two moments, whatever the history."""

    def resize(self, size: tuple[int, int]) -> None:
        """Resize both moments and keep the step count, so that a new scale does not begin with large, noisy steps."""
        if self.m is not None and self.v is not None:
            self.m, self.v = resize(self.m, size), resize(self.v, size).clamp_min_(0)

    def state(self) -> dict[str, Tensor]:
        """Return the step count and the moments."""
        if self.m is None or self.v is None:
            return {}
        return {"count": torch.tensor(self.count), "m": self.m, "v": self.v}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore a saved state."""
        if state:
            self.count, self.m, self.v = int(state["count"]), state["m"], state["v"]


class LBFGS:
    """Limited-memory BFGS without line search: one evaluation per step.

    The first step follows the gradient and moves pixels by `first_move` (root mean square), or less if the loss is
    nearly 0. Later steps multiply the gradient by the inverse Hessian estimated from the last `history` steps. Steps
    longer than `longest_move` are shortened. If the loss more than doubles, the step is undone and the history is
    cleared.

    Source: Nocedal & Wright 2006, algorithm 7.4 (two-loop recursion), H0 by eq. 7.20.
    Differs: in contrast to torch.optim.LBFGS(max_iter=1), the size of the first step does not depend on the scale of
        the loss, and steps are bounded. Pictures are not clamped between steps, which would invalidate the curvature
        pairs.
    """

    def __init__(
        self, learning_rate: float = 1.0, history: int = 20, first_move: float = 0.01, longest_move: float = 0.1
    ) -> None:
        self.learning_rate, self.history = learning_rate, history
        self.first_move, self.longest_move = first_move, longest_move
        self.moves: list[Tensor] = []  # s_k = x_{k+1} - x_k
        self.changes: list[Tensor] = []  # y_k = g_{k+1} - g_k
        self.last: tuple[Tensor, Tensor, float] | None = None  # the step taken, gradient and loss before it

    def step(self, image: Tensor, gradient: Tensor, loss: float) -> Tensor:
        """Return the next picture; it may leave [0, 1] a little."""
        if self.last is not None:
            move, last_gradient, last_loss = self.last
            self.last = None
            if not loss <= 2 * last_loss:  # also true for NaN
                self.moves, self.changes = [], []
                self.first_move /= 2
                return image - move + self._move(last_gradient, last_loss)
            self._remember(move, torch.sub(gradient, last_gradient, out=last_gradient))
        move = self._move(gradient, loss)
        self.last = (move, gradient, loss)
        return image + move

    def _move(self, gradient: Tensor, loss: float) -> Tensor:
        """Return the step from a point with this gradient and loss."""
        direction = self._direction(gradient)
        length = (torch.linalg.vector_norm(direction) / direction.numel() ** 0.5).clamp_min(
            torch.finfo(direction.dtype).tiny
        )
        if self.moves:
            wanted = torch.clamp(length * self.learning_rate, max=self.longest_move)
        else:  # gradient descent, but not further than a linear loss would need to reach 0
            wanted = torch.clamp(loss / length, max=self.first_move)
        return direction.mul_(wanted / length)

    def _remember(self, move: Tensor, change: Tensor) -> None:
        # Only pairs of positive curvature keep the inverse Hessian positive definite.
        if _dot(move, change) > 1e-10 * move.norm() * change.norm():
            self.moves = [*self.moves, move][-self.history :]
            self.changes = [*self.changes, change][-self.history :]

    def _direction(self, gradient: Tensor) -> Tensor:
        q = -gradient  # changed in place from here on: pictures can be large
        pairs = list(zip(self.moves, self.changes, strict=True))
        rho = [1 / _dot(s, y) for s, y in pairs]
        alpha = []
        for (s, y), r in zip(reversed(pairs), reversed(rho), strict=True):
            alpha.append(r * _dot(s, q))
            q.addcmul_(y, -alpha[-1])
        if pairs:
            s, y = pairs[-1]
            q.mul_(_dot(s, y) / _dot(y, y))
        for (s, y), r, a in zip(pairs, rho, reversed(alpha), strict=True):
            q.addcmul_(s, a - r * _dot(y, q))
        return q

    def remember(self, history: int) -> None:
        """Keep at most `history` curvature pairs from now on."""
        self.history = history
        self.moves, self.changes = self.moves[-history:], self.changes[-history:]

    def resize(self, size: tuple[int, int]) -> None:
        """Resize the curvature pairs, so that the first step at a new scale is already a quasi-Newton step."""
        pairs = list(zip(self.moves, self.changes, strict=True))
        self.last, self.moves, self.changes = None, [], []
        while pairs:  # one by one: each small pair is released, since the large ones need the memory
            move, change = pairs.pop(0)
            self._remember(resize(move, size), resize(change, size))

    def state(self) -> dict[str, Tensor]:
        """Return the curvature pairs and the last evaluation."""
        state = {"first_move": torch.tensor(self.first_move, dtype=torch.float64)}
        for index, (move, change) in enumerate(zip(self.moves, self.changes, strict=True)):
            state |= {f"moves.{index}": move, f"changes.{index}": change}
        if self.last is not None:
            move, gradient, loss = self.last
            state |= {"move": move, "gradient": gradient, "loss": torch.tensor(loss, dtype=torch.float64)}
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore a saved state."""
        self.first_move = float(state["first_move"])
        count = sum(name.startswith("moves.") for name in state)
        self.moves = [state[f"moves.{index}"] for index in range(count)]
        self.changes = [state[f"changes.{index}"] for index in range(count)]
        self.last = (state["move"], state["gradient"], float(state["loss"])) if "move" in state else None


def _dot(x: Tensor, y: Tensor) -> Tensor:
    """Return the dot product, computed in parts to save memory."""
    parts = zip(torch.split(x.flatten(), _PART), torch.split(y.flatten(), _PART), strict=True)
    return torch.stack([(a * b).sum() for a, b in parts]).sum()
