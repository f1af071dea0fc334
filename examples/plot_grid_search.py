"""
Searching the rate of the weights
=================================

``meta_lr`` says how fast the meta set teaches; of the paper's weights, ``weighting="class"``, how
far each moves in a step. Class pairs, the default, hardly mind it. The folds of a search are cut
from noisy rows, so its scores are scores on noisy labels. `trusted_scorer
<skgdw.model_selection.trusted_scorer>` scores the same candidates on rows that are known to be
right.
"""

# %%
# Three sets of trusted rows, each for one purpose: 100 teach the weights, 100 score the candidates,
# and 400 tell in the end what the choice was worth.

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skgdw.corruption import LabelNoise
from skgdw.model_selection import split_meta

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=400, stratify=y, random_state=0)
X, y, X_meta, y_meta = split_meta(X, y, 100, random_state=0)
X, y, X_clean, y_clean = split_meta(X, y, 100, random_state=1)
X, y = LabelNoise(kind="pair", noise_rate=0.4, random_state=0).fit_resample(X, y)

# %%
# One search with both scores.

from sklearn.model_selection import GridSearchCV, StratifiedKFold

from skgdw import GDWClassifier
from skgdw.model_selection import trusted_scorer

search = GridSearchCV(
    GDWClassifier(weighting="class", max_epochs=10, random_state=0, verbose=0),
    {"meta_lr": [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]},
    scoring={"noisy": "accuracy", "trusted": trusted_scorer(X_clean, y_clean, "accuracy")},
    refit="trusted",
    cv=StratifiedKFold(3, shuffle=True, random_state=0),
)
search.fit(X, y, X_meta=(X_meta,), y_meta=(y_meta,))
print(search.best_params_, f"test accuracy {search.best_estimator_.score(X_test, y_test):.1%}")

# %%
# On noisy labels even a perfect classifier scores 60 %: the two curves are to be compared in
# their shape, not in their height. That of the trusted labels has its maximum inside the grid, and
# is flat around it.

import matplotlib.pyplot as plt

results = search.cv_results_
rates = results["param_meta_lr"].data.astype(float)
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, colour in [("trusted", "#0072B2"), ("noisy", "#E69F00")]:
    mean, spread = results[f"mean_test_{name}"], results[f"std_test_{name}"]
    ax.plot(rates, mean, "o-", color=colour, label=f"{name} labels")
    ax.fill_between(rates, mean - spread, mean + spread, color=colour, alpha=0.2, lw=0)
ax.set(xscale="log", xlabel="meta_lr", ylabel="accuracy, mean of three folds")
ax.legend()
plt.show()
