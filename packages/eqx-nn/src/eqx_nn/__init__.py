"""Neural network layers as callable PyTrees, written on the public face of eqx-pytree alone."""

from eqx_pytree import load_on_use

from . import (
    adapters,
    attention,
    composing,
    convolutions,
    images,
    norms,
    pools,
    recurrent,
    stacked,
    torch,
    transformer,
)
from ._dropout import Dropout
from ._embedding import Embedding
from ._init import default_init
from ._linear import Identity, Linear
from ._mlp import MLP
from ._mode import inference_mode
from ._prelu import PReLU
from ._random import Keys
from ._reinit import reinit
from ._state import State, StatefulLayer, StateIndex, delete_init_state, make_with_state
from .adapters import *  # noqa: F403 - the names in its `__all__`
from .attention import *  # noqa: F403 - the names in its `__all__`
from .composing import *  # noqa: F403 - the names in its `__all__`
from .convolutions import *  # noqa: F403 - the names in its `__all__`
from .images import *  # noqa: F403 - the names in its `__all__`
from .norms import *  # noqa: F403 - the names in its `__all__`
from .pools import *  # noqa: F403 - the names in its `__all__`
from .recurrent import *  # noqa: F403 - the names in its `__all__`
from .stacked import *  # noqa: F403 - the names in its `__all__`
from .torch import *  # noqa: F403 - the names in its `__all__`
from .transformer import *  # noqa: F403 - the names in its `__all__`

__all__ = [
    "MLP",
    "Dropout",
    "Embedding",
    "Identity",
    "Keys",
    "Linear",
    "PReLU",
    "State",
    "StateIndex",
    "StatefulLayer",
    "default_init",
    "delete_init_state",
    "inference_mode",
    "make_with_state",
    "reinit",
]
__all__ += adapters.__all__
__all__ += attention.__all__
__all__ += composing.__all__
__all__ += convolutions.__all__
__all__ += images.__all__
__all__ += norms.__all__
__all__ += pools.__all__
__all__ += recurrent.__all__
__all__ += stacked.__all__
__all__ += torch.__all__
__all__ += transformer.__all__


__getattr__, __dir__ = load_on_use(__name__, {}, distribution="eqx-nn")
