"""`Checkpoints`: the steps of a training in a folder."""

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import jax
import jax.tree_util as jtu

from ..shared._processes import Devices, agreeing, devices_of, is_first, meet, texts_of_all
from ._atomic import make_folder
from ._background import Background
from ._container import DamagedError
from ._load_named import load
from ._save_named import Prepared, prepare, write_prepared
from ._settings import METRICS, as_best, as_count, as_step, metrics_text
from ._shardings import placed
from ._steps import metrics_of, name_of, ranked, rotate, steps_in

_Tree = TypeVar("_Tree")


class Checkpoints:
    """The steps of a training in a folder, each a file of `save`: rotated, and gone on from.

        ckpts = Checkpoints("run", keep=3, best="loss", every=100)
        state, step = ckpts.restore(state)  # as given, and 0, where there is none yet
        while step < 10_000:
            state, loss = train(state)
            step += 1
            ckpts.save(step, state, metrics={"loss": loss})

    What is saved is one PyTree, with all that the training goes on from: model, `Optimizer`,
    `State`, keys, and the position in the data where the step does not tell it.

    At whatever moment the process is stopped, the folder holds the last step that was saved, whole.
    There is no index: names of files, `step-00000100.safetensors`, and their headers say what is
    there. So processes may read, save and rotate in one folder at once. Files of other names are
    left alone.

    Processes of `jax.distributed` whose arrays lie on devices of several of them share a folder,
    and each calls `save`, `restore` and `wait` alike: the first of them writes and takes old steps
    away, and says which step is restored; what it raises, all raise. `steps`, `latest`, `best` and
    `metrics` look at the folder by themselves: in the background, after a `wait`.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        keep: int | None = None,
        best: str | tuple[str, Any] | None = None,
        every: int = 1,
        background: bool = False,
        checksum: bool = False,
    ) -> None:
        """Say how steps are kept. The folder is made by the first `save`.

        **Arguments:**

        - `folder`: where the files are.
        - `keep`: how many of the newest steps stay; None for all. After a step is saved, older ones
            are taken away, but for the best.
        - `best`: the metric by which a step is the best: `"loss"` for the least, and
            `("accuracy", max)` for the greatest. Of equals the last is the best, and NaN never is.
        - `every`: steps that this does not divide are not saved, unless by `force=True`.
        - `background`: whether a thread writes while the training goes on. `save` then waits for
            the step before and copies the arrays to the host, no more. What the thread raises, the
            next call raises: end with `wait()`, or in a `with` block. Python waits for the thread
            before it exits.
        - `checksum`: as `save` takes it; in the background it costs the training nothing.

        **Raises:** `ValueError` or `TypeError` for settings that are none of these;
        `NotADirectoryError` where `folder` is a file.
        """
        self.folder = Path(folder).absolute()
        self.keep = None if keep is None else as_count("keep", keep)
        self.every = as_count("every", every)
        self.checksum = checksum
        self._best = as_best(best)
        self._background = Background() if background else None
        self._devices: Devices = ()  # of the processes that saved last together
        self._newest: int | None = None
        self._has_written = False
        if self.folder.exists() and not self.folder.is_dir():
            message = f"`{self.folder}` is a file. `Checkpoints` needs a folder."
            raise NotADirectoryError(message)

    def save(
        self,
        step: Any,
        tree: Any,
        *,
        metrics: Mapping[str, Any] | None = None,
        config: Any = None,
        force: bool = False,
    ) -> bool:
        """Save a step, and take old ones away.

        **Arguments:**

        - `step`: how many steps are done: an integer from 0 on, of Python, NumPy or JAX. One that
            was saved before is replaced.
        - `tree`: as `save` takes it.
        - `metrics`: numbers by names, of any type; `metrics` of this class gives them back.
        - `config`: what `load_config(ckpts.path(step))` gives back.
        - `force`: whether to save whatever `every` says, as at the end.

        **Returns:** whether the step was saved; in the background, whether that has begun.

        **Raises:** `ValueError` for a step before one that the folder held when this object first
        looked, or that it has saved; for metrics without the one that `best` names; what `save`
        raises; and what a thread raised since the last call, of several processes since the last
        step that they saved.
        """
        if self._background is not None and not self._devices:
            self._background.check()
        step = as_step(step)
        if not (force or step % self.every == 0):
            return False
        devices = devices_of(jtu.tree_leaves(tree))
        told = f"`save` of step {step} in `{self.folder}`"
        meet(devices, f"save {step}", told)
        with agreeing(devices, told):
            self._wait_here()
            if is_first(devices):
                self._check_order(step)
        texts = {"step": str(step), METRICS: metrics_text(metrics, self._best)}
        prepared = prepare(tree, config, texts, own=self._background is not None, devices=devices)
        self._newest, self._devices = step, devices
        if self._background is None:
            self._write(step, prepared)
        elif is_first(devices):
            prepared = prepared._replace(devices=())
            self._background.start(functools.partial(self._write, step, prepared))
        return True

    def restore(
        self, like: _Tree, step: int | Literal["best"] | None = None, *, sharding: Any = None
    ) -> tuple[_Tree, int]:
        """Load a step.

        **Arguments:**

        - `like`: a PyTree of the structure that was saved, as `load` takes it.
        - `step`: which; None for the newest, `"best"` for the best.
        - `sharding`: as `load` takes it. For its other arguments, call `load` with
            `ckpts.path(step)`.

        **Returns:** the PyTree and its step. Where no step is saved yet and none is asked for,
        `like` and 0, with its arrays where `sharding` says.

        **Raises:** `FileNotFoundError` for a step that is not there; `RuntimeError` for a file that
        is damaged, naming the step before it, since none is passed over in silence; what `load`
        raises.
        """
        devices = devices_of(jtu.tree_leaves((like, sharding)))
        if devices:
            return self._restore_together(like, step, sharding, devices)
        tries = 100
        while True:
            found = self._asked(step)
            if found is None:
                return _with_values(like, self.folder, sharding), 0
            try:
                return self._load(found, like, sharding), found
            except FileNotFoundError:
                tries -= 1  # another process rotated since the folder was looked at
                if not tries:
                    raise

    def steps(self) -> tuple[int, ...]:
        """Give the steps that are there, in order."""
        self._settle()
        return tuple(steps_in(self.folder))

    def latest(self) -> int | None:
        """Give the newest step; None if there is none."""
        return max(self.steps(), default=None)

    def best(self) -> int | None:
        """Give the best step; None if none has the metric.

        A file that cannot be read is left out, with a warning.

        **Raises:** `ValueError` if no metric was named.
        """
        if self._best is None:
            message = "No metric says which step is the best. Name it: `Checkpoints(..., best=)`."
            raise ValueError(message)
        return ranked(self.folder, self.steps(), self._best)[0]

    def metrics(self, step: int) -> dict[str, float]:
        """Give the metrics that a step was saved with.

        **Raises:** as `restore`.
        """
        self._settle()
        return metrics_of(self._there(as_step(step)))

    def path(self, step: int) -> Path:
        """Give the path of a step's file, whether it is there or not."""
        return self.folder / name_of(as_step(step))

    def wait(self) -> None:
        """Wait until what is saved in the background is on the disk.

        **Raises:** what was raised there.
        """
        with agreeing(self._devices, f"`save` in `{self.folder}`"):
            self._wait_here()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            self.wait()
            return
        try:
            self._wait_here()  # the other processes may not have come to an end
        except Exception as failed:
            error.add_note(f"And a step was not saved: {type(failed).__name__}: {failed}")

    def __repr__(self) -> str:
        return f"<Checkpoints in {str(self.folder)!r}>"

    def _wait_here(self) -> None:
        if self._background is not None:
            self._background.wait()

    def _settle(self) -> None:
        """Wait, where one process may do so alone: what is for all to raise is left for later."""
        if self._background is not None:
            self._background.join()
            if not self._devices:
                self._background.check()

    def _write(self, step: int, prepared: Prepared) -> None:
        path, is_writer = self.path(step), is_first(prepared.devices)
        with agreeing(prepared.devices, f"`save` of `{path}`"):
            if is_writer:
                make_folder(self.folder)
                if not self._has_written:
                    self._rotate(None)  # what processes that were killed left piles up otherwise
        write_prepared(path, prepared, durable=True, checksum=self.checksum)
        self._has_written = True
        if is_writer:
            self._rotate(step)

    def _rotate(self, last: int | None) -> None:
        if self.keep is not None:
            rotate(self.folder, self.keep, self._best, last)

    def _check_order(self, step: int) -> None:
        if self._newest is None:
            self._newest = max(steps_in(self.folder), default=-1)
        if step >= self._newest:
            return
        later = [it for it in steps_in(self.folder) if step < it <= self._newest]
        if later:
            message = (
                f"`step` {step} comes before step {later[-1]}, which `{self.folder}` holds, and "
                "from which `restore` would go on. Delete the later steps, by `for it in "
                f"ckpts.steps(): if it > {max(step - 1, 0)}: ckpts.path(it).unlink()`, or save "
                "into another folder."
            )
            raise ValueError(message)

    def _asked(self, step: Any) -> int | None:
        """The step that is asked for; None if the newest is, and there is none."""
        steps = self.steps()
        self._newest = max(steps, default=-1)
        if step is None:
            return max(steps, default=None)
        if not isinstance(step, str):
            self._there(as_step(step))
            return as_step(step)
        if step != "best":
            message = f'`step` of `restore` is an integer, None or "best"; got {step!r}.'
            raise ValueError(message)
        best = self.best()
        if best is None:
            message = f"`{self.folder}` has no step with the metric that `best` names."
            raise FileNotFoundError(message)
        return best

    def _restore_together(
        self, like: _Tree, step: Any, sharding: Any, devices: Devices
    ) -> tuple[_Tree, int]:
        """`restore` in several processes, of which the first says which step it is."""
        told = f"`restore` from `{self.folder}`"
        meet(devices, f"restore {step}", told)
        found = None
        with agreeing(devices, told):
            self._wait_here()
            if is_first(devices):
                found = self._asked(step)
        said = texts_of_all("" if found is None else str(found), devices)[0]
        with agreeing(devices, told):
            if not said:
                return _with_values(like, self.folder, sharding), 0
            return self._load(int(said), like, sharding), int(said)

    def _load(self, step: int, like: Any, sharding: Any) -> Any:
        try:
            return load(self.folder / name_of(step), like, sharding=sharding)
        except DamagedError as error:
            earlier = [it for it in steps_in(self.folder) if it < step]
            way_out = f"goes on from step {earlier[-1]}" if earlier else "begins anew"
            message = f"{error} Delete the file, and `restore` {way_out}."
            raise RuntimeError(message) from None

    def _there(self, step: int) -> Path:
        path = self.folder / name_of(step)
        if not path.is_file():
            told = ", ".join(map(str, steps_in(self.folder)[-10:])) or "none"
            message = f"`{self.folder}` has no step {step}. The newest that it has: {told}."
            raise FileNotFoundError(message)
        return path


def _with_values(like: _Tree, folder: Path, sharding: Any) -> _Tree:
    """`like`, which is what a training begins with; refused if it has shapes alone."""
    if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jtu.tree_leaves(like)):
        message = (
            f"`{folder}` has no step yet, and `like` has no values to begin with: it holds a "
            "`jax.ShapeDtypeStruct`. Give `restore` the state that the training begins with."
        )
        raise FileNotFoundError(message)
    return placed(like, sharding)
