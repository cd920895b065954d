"""Any outlier model of scikit-learn or PyOD by name, as a detector: our sign, weights, preprocessing and seed."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hepaa.errors import InputError, nearest
from hepaa.models.base import Detector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepaa.models.base import Training

SKLEARN: dict[str, str] = {
    "BayesianGaussianMixture": "sklearn.mixture",
    "EllipticEnvelope": "sklearn.covariance",
    "GaussianMixture": "sklearn.mixture",
    "IsolationForest": "sklearn.ensemble",
    "KernelDensity": "sklearn.neighbors",
    "LocalOutlierFactor": "sklearn.neighbors",
    "OneClassSVM": "sklearn.svm",
}
"""Models of scikit-learn with `score_samples`, and where they live."""


def _pyod_modules() -> dict[str, str]:
    """Modules of PyOD's models by the name of the class that each is named after, in lower case."""
    spec = find_spec("pyod")
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = [f"{place}/models" for place in spec.submodule_search_locations]
    names = (module.name for module in pkgutil.iter_modules(folder))
    return {name.replace("_", ""): name for name in names if not name.startswith(("_", "base", "ts_", "pyg_"))}


def outlier_class(name: str) -> tuple[type[Any], bool]:
    """The class of a model, and whether it is PyOD's.

    Parameters
    ----------
    name : str
        "LocalOutlierFactor" or "sklearn.LocalOutlierFactor"; "ECOD" or "pyod.ECOD", in any case.

    Raises
    ------
    InputError
        If neither library has it; the message says whether PyOD is there.
    """
    library, _, bare = name.rpartition(".")
    if library in ("", "sklearn") and bare in SKLEARN:
        return getattr(import_module(SKLEARN[bare]), bare), False
    modules = _pyod_modules() if library in ("", "pyod") else {}
    if bare.lower() in modules:
        module = import_module(f"pyod.models.{modules[bare.lower()]}")
        model = next((v for k, v in vars(module).items() if k.lower() == bare.lower() and inspect.isclass(v)), None)
        if model is not None:
            return model, True
    there = "" if _pyod_modules() else "; PyOD is not installed: pip install 'hepaa[baselines]'"
    raise InputError(f"outlier model {name!r} is unknown; {nearest(bare, [*SKLEARN, *modules])}{there}")


class OutlierModel(Detector):
    """An outlier model of scikit-learn or PyOD on preprocessed background; score: higher is more anomalous.

    Parameters
    ----------
    model : str
        Class name, such as "LocalOutlierFactor", "OneClassSVM", "pyod.ECOD", "pyod.KNN"; see `outlier_class`.
    options : mapping or None
        Parameters of that class. A seed, and novelty detection for LocalOutlierFactor, are set here.
    seed : int

    The other parameters and the attributes are those of `Detector`.

    Event weights go to a model that takes them. For one that does not, as many background events are drawn, with
    replacement, in proportion to their weights. Negative weights are refused; see `negative_weights`.
    """

    takes_negative_weights: ClassVar[bool] = False
    sources: ClassVar[dict[str, str]] = {"": "Zhao2019"}

    model: str = "LocalOutlierFactor"
    options: Mapping[str, Any] | None = None
    seed: int = 0

    @staticmethod
    def knows(name: str) -> bool:
        """Whether `outlier_class` has a model of this name."""
        library, _, bare = name.rpartition(".")
        return (library in ("", "sklearn") and bare in SKLEARN) or (
            library in ("", "pyod") and bare.lower() in _pyod_modules()
        )

    @staticmethod
    def parameters_of(model: Any) -> dict[str, Any]:
        """The parameters `model` and `options` for an instance of a class of PyOD or scikit-learn."""
        library, cls = type(model).__module__.partition(".")[0], type(model)
        if library not in ("pyod", "sklearn"):
            raise InputError(f"{cls.__name__}: give the name of a detector, or a model of PyOD or scikit-learn")
        default = {name: parameter.default for name, parameter in inspect.signature(cls).parameters.items()}
        options = {name: value for name, value in model.get_params(deep=False).items() if value != default.get(name)}
        return {"model": f"{library}.{cls.__name__}", "options": options}

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not isinstance(self.options, Mapping | None):
            raise InputError(f"options is {self.options!r}; it must be a mapping of names to values")
        known = inspect.signature(outlier_class(self.model)[0]).parameters
        for key in self.options or {}:
            if key not in known:
                raise InputError(f"{self.model} has no option {key!r}; {nearest(key, known)}")

    def _fit(self, training: Training) -> None:
        cls, self.of_pyod_ = outlier_class(self.model)
        known = inspect.signature(cls).parameters
        options = dict(self.options or {})
        ours: dict[str, Any] = {"random_state": self.seed, "novelty": True, "verbose": 0}
        defaults = {k: v for k, v in ours.items() if k in known and k not in options}
        self.model_ = cls(**defaults, **options)
        x, weight = training.background, training.weight
        if weight is None:
            self.model_.fit(x)
        elif "sample_weight" in inspect.signature(self.model_.fit).parameters:
            self.model_.fit(x, sample_weight=weight)
        else:
            drawn = np.random.default_rng(self.seed).choice(len(x), len(x), p=weight / weight.sum())
            self.model_.fit(x[drawn])

    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        scores = self.model_.decision_function(x) if self.of_pyod_ else -self.model_.score_samples(x)
        return np.asarray(scores, dtype=np.float64)
