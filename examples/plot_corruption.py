"""
Wrong labels in a pipeline
==========================

How much do wrong labels cost, and how much of it comes back? `CorruptedClassifier
<skgdw.corruption.CorruptedClassifier>` spoils the training part of each fold; the validation part
and the meta set stay clean, so that the scores of an ordinary search answer the question.
"""

# %%
# The corruption wraps whatever is to be trained: here a pipeline whose scaler also transforms the
# meta set. Classes are made uneven before labels are changed, because that is to be decided on true
# labels.

from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

from skgdw import GDWClassifier
from skgdw.corruption import ClassImbalance, CorruptedClassifier, LabelNoise
from skgdw.model_selection import make_meta_pipeline, split_meta

X, y = load_digits(return_X_y=True)
X, y, X_meta, y_meta = split_meta(X, y, 100, random_state=0)
pipeline = make_meta_pipeline(
    StandardScaler(), GDWClassifier(max_epochs=15, random_state=0, verbose=0)
)
spoilt = CorruptedClassifier(
    pipeline,
    corruption=[
        ("imbalance", ClassImbalance(imbalance_ratio=3, random_state=0)),
        ("noise", LabelNoise(kind="pair", random_state=0)),
    ],
)

# %%
# One grid over the strength of the noise and the way of weighting. Names reach the samplers as
# they reach the steps of a pipeline.

from sklearn.model_selection import GridSearchCV, StratifiedKFold

weightings = {
    "uniform": "plain training",
    "network": "MW-Net",
    "class": "GDW (paper)",
    "class_pair": "class pairs",
}
search = GridSearchCV(
    spoilt,
    {
        "corruption__noise__noise_rate": [0.0, 0.2, 0.4],
        "estimator__gdwclassifier__weighting": list(weightings),
    },
    cv=StratifiedKFold(3, shuffle=True, random_state=0),
    refit=False,
    error_score="raise",
)
search.fit(X, y, X_meta=(X_meta,), y_meta=(y_meta,))

# %%
# Every score is on rows with right labels, those of the folds that were not trained on.

import matplotlib.pyplot as plt

results = search.cv_results_
rates = results["param_corruption__noise__noise_rate"].data.astype(float)
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
colours = ["#999999", "#E69F00", "#009E73", "#0072B2"]
for (name, label), colour in zip(weightings.items(), colours, strict=True):
    rows = results["param_estimator__gdwclassifier__weighting"] == name
    mean, spread = results["mean_test_score"][rows], results["std_test_score"][rows]
    ax.errorbar(rates[rows], mean, spread, fmt="o-", color=colour, label=label, capsize=3)
    scores = "  ".join(f"{score:.1%}" for score in mean)
    print(f"{label:16}{scores}")
ax.set(xlabel="share of labels changed to the next class", ylabel="accuracy on clean rows")
ax.legend()
plt.show()
