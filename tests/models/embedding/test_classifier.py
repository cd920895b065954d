"""The neural classifier against logistic regression and with few labels."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from hepaa.detectors import NeuralClassifier


def test_without_hidden_layers_it_is_logistic_regression() -> None:
    rng = np.random.default_rng(2)
    y = np.repeat([0, 1], [800, 200])
    X = rng.normal(size=(1000, 3)) + np.outer(y, [1.0, -0.5, 0.0])
    options = {"hidden": (), "epochs": 60, "learning_rate": 0.03, "batch_size": 1000, "preprocess": None}
    ours = NeuralClassifier(**options).fit(X, y)
    theirs = LogisticRegression(C=np.inf, class_weight="balanced").fit(X, y)
    p = ours.parameters_.frozen()
    np.testing.assert_allclose(p["encoder.0.weight"][:, 0], theirs.coef_[0], atol=0.1)
    assert roc_auc_score(y, ours.anomaly_score(X)) > roc_auc_score(y, theirs.decision_function(X)) - 0.003
